# Reference numbers for dtimuscle/statistics/logistic.py, firth.py and collinearity.py, from base R.
#
#     Rscript tests/reference/logistic.R tests/reference
#
# Reads cohort.csv and wdbc.csv, draws separated.csv and quasi_separated.csv (seeded numbers, no patients), and
# writes logistic.json.

suppressMessages({
  library(jsonlite)
  library(MASS)
})

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("usage: Rscript logistic.R FOLDER")

cohort <- read.csv(file.path(folder, "cohort.csv"), na.strings = "NA", stringsAsFactors = TRUE)
cohort$poor <- as.integer(cohort$lovett_grade < 4)
wdbc <- read.csv(file.path(folder, "wdbc.csv"))
wdbc$poor <- wdbc$malignant
features <- c("gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md")
measured <- c("mean_texture", "mean_smoothness", "mean_symmetry", "mean_fractal_dimension", "worst_smoothness")

# ---- separated data -------------------------------------------------------------------------------
set.seed(20240118)
write_rows <- function(frame, name) {
  path <- file.path(folder, name)
  write.csv(format(frame, digits = 15, trim = TRUE), path, row.names = FALSE, quote = FALSE)
  read.csv(path)
}
poor <- rep(1:0, c(12, 18))
separated <- write_rows(
  data.frame(poor = poor, a = rnorm(30) - 5 * poor, b = rnorm(30) - 0.5 * poor), "separated.csv"
)
# Nobody with good function has the mark; without it the groups overlap.
quasi <- write_rows(
  data.frame(poor = poor, mark = c(rep(1:0, c(5, 7)), rep(0, 18)), b = rnorm(30) - 0.8 * poor), "quasi_separated.csv"
)

# ---- maximum likelihood ---------------------------------------------------------------------------
# glm stops when the deviance changes no more, and takes standard errors from the step before; started
# again from its own result it gives both to the last digits.
control <- glm.control(epsilon = 1e-13, maxit = 200)
maximise <- function(terms, data) {
  model <- glm(reformulate(terms, "poor"), binomial, data, control = control)
  for (again in 1:3) {
    model <- glm(reformulate(terms, "poor"), binomial, data, start = coef(model), control = control)
  }
  model
}

# The exact ends of the profile: where the deviance with the term held at b exceeds the minimum by the quantile.
solve_end <- function(excess, estimate, se, side) {
  away <- estimate + side * se * c(1e-3, 1.96)
  while (excess(away[2]) < 0) away[2] <- estimate + 1.5 * (away[2] - estimate)
  uniroot(excess, sort(away), tol = se * 1e-13, maxiter = 1000)$root
}
profile_ends <- function(model, j, level = 0.95) {
  x <- model.matrix(model)
  sd <- apply(x, 2, sd)
  scale <- ifelse(sd > 0, sd, 1)
  x <- scale(x, center = ifelse(sd > 0, colMeans(x), 0), scale = scale)
  estimate <- coef(model)[j] * scale[j]
  se <- sqrt(vcov(model)[j, j]) * scale[j]
  excess <- function(b) {
    held <- suppressWarnings(
      glm.fit(x[, -j, drop = FALSE], model$y, offset = b * x[, j], family = binomial(), control = control)
    )
    held$deviance - deviance(model) - qchisq(level, 1)
  }
  unname(c(solve_end(excess, estimate, se, -1), solve_end(excess, estimate, se, 1)) / scale[j])
}

vif <- function(model) {
  x <- model.matrix(model)[, -1, drop = FALSE]
  if (ncol(x) == 1) return(1)
  sapply(seq_len(ncol(x)), function(j) 1 / (1 - summary(lm(x[, j] ~ x[, -j]))$r.squared))
}

fit <- function(terms, data) {
  model <- maximise(terms, data)
  table <- coef(summary(model))
  x <- model.matrix(model)
  without <- sapply(2:ncol(x), function(j) {
    deviance(suppressWarnings(glm.fit(x[, -j, drop = FALSE], model$y, family = binomial(), control = control)))
  })
  dropped <- drop1(update(model, data = model$model), test = "LRT")[-1, ]
  null <- model$null.deviance
  n <- nobs(model)
  cox_snell <- 1 - exp((deviance(model) - null) / n)
  list(
    terms = rownames(table), estimate = unname(table[, 1]), se = unname(table[, 2]),
    z = unname(table[, 3]), p = unname(table[, 4]), n = n, n_events = sum(model$y),
    sd = unname(apply(x[, -1, drop = FALSE], 2, sd)),
    wald = unname(confint.default(model)[-1, , drop = FALSE]),
    profile = t(sapply(2:ncol(x), function(j) profile_ends(model, j))),
    profile_interpolated = unname(suppressMessages(confint(model, seq_len(ncol(x))[-1]))),
    chi2 = without - deviance(model), p_lr = pchisq(without - deviance(model), 1, lower.tail = FALSE),
    columns = rownames(dropped), column_chi2 = dropped$LRT, column_df = dropped$Df,
    column_p = dropped[["Pr(>Chi)"]], vif = vif(model),
    log_likelihood = as.numeric(logLik(model)), deviance = deviance(model), null_deviance = null, aic = AIC(model),
    model_chi2 = null - deviance(model),
    model_p = pchisq(null - deviance(model), length(coef(model)) - 1, lower.tail = FALSE),
    mcfadden = 1 - deviance(model) / null, cox_snell = cox_snell, nagelkerke = cox_snell / (1 - exp(-null / n)),
    probabilities = unname(fitted(model))
  )
}

# ---- Firth ----------------------------------------------------------------------------------------
# Log likelihood plus half the log determinant of the information (Firth 1993); Newton's method on the modified
# score with the information as curvature, halved until the likelihood rises.
penalised <- function(x, y, beta) {
  eta <- drop(x %*% beta)
  w <- plogis(eta) * plogis(-eta)
  information <- crossprod(x * w, x)
  h <- w * rowSums((x %*% solve(information)) * x)
  list(
    value = sum(plogis(ifelse(y == 1, eta, -eta), log.p = TRUE)) +
      as.numeric(determinant(information)$modulus) / 2,
    score = drop(crossprod(x, y - plogis(eta) + h * (0.5 - plogis(eta)))),
    information = information, augmented = crossprod(x * (w * (1 + h)), x)
  )
}
climb <- function(x, y, beta, free) {
  if (!length(free)) return(list(beta = beta, value = penalised(x, y, beta)$value))
  now <- penalised(x, y, beta)
  for (step in 1:2000) {
    move <- solve(now$augmented[free, free], now$score[free])
    if (max(abs(move)) < 1e-13) break
    move <- move / max(1, max(abs(move)) / 2)
    factor <- 1
    repeat {
      trial <- beta
      trial[free] <- trial[free] + factor * move
      found <- penalised(x, y, trial)
      if (found$value >= now$value - 1e-13 || factor < 1e-8) break
      factor <- factor / 2
    }
    beta <- trial
    now <- found
  }
  c(list(beta = beta), now)
}
firth <- function(terms, data, level = 0.95, is_separated = FALSE) {
  frame <- model.frame(reformulate(terms, "poor"), data)
  raw <- model.matrix(reformulate(terms), frame)
  y <- frame$poor
  sd <- apply(raw[, -1, drop = FALSE], 2, sd)
  x <- cbind(1, scale(raw[, -1, drop = FALSE]))
  full <- climb(x, y, numeric(ncol(x)), seq_len(ncol(x)))
  se <- sqrt(diag(solve(full$information)))
  null <- climb(x, y, numeric(ncol(x)), 1)
  # Under separation there can be several maxima while a term is held: the highest from many starts counts.
  highest <- function(j, b, here) {
    free <- seq_len(ncol(x))[-j]
    starts <- list(here)
    for (far in if (is_separated) c(-4, -2, 2, 4)) {
      for (other in free) {
        start <- 0 * here
        start[other] <- far
        starts <- c(starts, list(start))
      }
    }
    climbs <- lapply(starts, function(start) climb(x, y, replace(start, j, b), free))
    max(sapply(climbs, function(found) found$value))
  }
  ends <- t(sapply(2:ncol(x), function(j) {
    excess <- function(b) 2 * (full$value - highest(j, b, full$beta)) - qchisq(level, 1)
    c(solve_end(excess, full$beta[j], se[j], -1), solve_end(excess, full$beta[j], se[j], 1))
  }))
  chi2 <- sapply(2:ncol(x), function(j) 2 * (full$value - highest(j, 0, full$beta)))
  # Jeffreys' prior of standardised and of raw features differ by a constant.
  list(
    terms = colnames(raw)[-1], estimate = unname(full$beta[-1] / sd), se = unname(se[-1] / sd),
    intercept = unname(full$beta[1] - sum(full$beta[-1] / sd * colMeans(raw[, -1, drop = FALSE]))),
    chi2 = chi2, p = pchisq(chi2, 1, lower.tail = FALSE), profile = unname(ends / sd),
    model_chi2 = 2 * (full$value - null$value), probabilities = unname(plogis(drop(x %*% full$beta)))
  )
}

# ---- separation: tests by the limit of the likelihood ------------------------------------------------
limits <- function(terms, data) {
  deviance_of <- function(terms) {
    deviance(suppressWarnings(glm(reformulate(terms, "poor"), binomial, data, control = glm.control(1e-15, 500))))
  }
  full <- deviance_of(terms)
  chi2 <- sapply(seq_along(terms), function(j) deviance_of(if (length(terms) > 1) terms[-j] else "1") - full)
  list(deviance = full, chi2 = chi2, p = pchisq(chi2, 1, lower.tail = FALSE))
}

covariates <- c("age", "sex", "smoker")
models <- c(
  lapply(setNames(nm = features), fit, cohort),
  list(
    all = fit(features, cohort), adjusted = fit(c(features[1:2], covariates), cohort), site = fit("site", cohort),
    with_site = fit(c("gracilis.md", "site"), cohort), wdbc = fit(measured, wdbc)
  )
)
penalised_models <- list(
  gracilis.md = firth("gracilis.md", cohort), all = firth(features, cohort),
  with_site = firth(c("gracilis.md", "site"), cohort), wdbc = firth(measured, wdbc),
  separated = firth("a", separated), separated_two = firth(c("a", "b"), separated, is_separated = TRUE),
  quasi = firth(c("mark", "b"), quasi, is_separated = TRUE)
)
write_json(
  list(
    versions = list(R = R.version.string, MASS = as.character(packageVersion("MASS"))), models = models,
    firth = penalised_models,
    separation = list(separated = limits("a", separated), quasi = limits(c("mark", "b"), quasi))
  ),
  file.path(folder, "logistic.json"), digits = I(17), auto_unbox = TRUE, pretty = TRUE
)
