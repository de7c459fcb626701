# Reference numbers for dtimuscle/statistics/ordinal.py, from MASS and base R.
#
#     Rscript tests/reference/ordinal.R tests/reference
#
# Reads wdbc.csv and cohort.csv, takes `housing` from MASS and `mtcars` from R, writes ordinal.json.
# MASS::polr finds the model; its standard errors come from a Hessian by finite differences (about 5
# digits), so that they are computed here from the observed information, written out participant by
# participant, after Newton steps have polished the estimates. Brant's test is written after Brant (1990),
# Biometrics 46: 1171-1178, with glm for the models of the cuts.

suppressMessages({
  library(jsonlite)
  library(MASS)
})

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("usage: Rscript ordinal.R FOLDER")

# ---- the model as R states it: logit P(Y <= j) = zeta_j - x beta -------------------------------------
probabilities <- function(terms, x, k, offset = 0) {
  eta <- drop(x %*% terms[-seq_len(k)]) + offset
  plogis(outer(-eta, terms[seq_len(k)], "+"))
}

# Score and log likelihood of the multinomial, with the derivatives of each category's probability.
scoring <- function(terms, x, y, k, offset = 0) {
  cumulative <- probabilities(terms, x, k, offset)
  slope <- cumulative * (1 - cumulative)
  p <- cbind(cumulative, 1) - cbind(0, cumulative)
  # derivative of cumulative probability j: slope_j * (e_j, -x)
  derivative <- lapply(seq_len(k), function(j) {
    e <- matrix(0, nrow(x), k)
    e[, j] <- 1
    slope[, j] * cbind(e, -x)
  })
  zero <- 0 * derivative[[1]]
  of_category <- lapply(seq_len(k + 1), function(j) {
    (if (j <= k) derivative[[j]] else zero) - (if (j > 1) derivative[[j - 1]] else zero)
  })
  score <- Reduce(`+`, lapply(seq_len(k + 1), function(j) colSums((y == j) / p[, j] * of_category[[j]])))
  list(score = score, value = sum(log(p[cbind(seq_along(y), y)])))
}

# Observed information: the Hessian of the log likelihood, written out for each participant.
information <- function(terms, x, y, k) {
  cumulative <- probabilities(terms, x, k)
  total <- matrix(0, length(terms), length(terms))
  for (i in seq_along(y)) {
    j <- y[i]
    f <- c(0, cumulative[i, ], 1)
    g <- f * (1 - f)
    h <- g * (1 - 2 * f)
    vector_of <- function(m) if (m < 1 || m > k) numeric(length(terms)) else c(as.numeric(seq_len(k) == m), -x[i, ])
    up <- vector_of(j)
    low <- vector_of(j - 1)
    p <- f[j + 1] - f[j]
    first <- g[j + 1] * up - g[j] * low
    second <- h[j + 1] * outer(up, up) - h[j] * outer(low, low)
    total <- total + outer(first, first) / p^2 - second / p
  }
  total
}

fit <- function(x, y, k, start, offset = 0) {
  goal <- function(t) {
    if (any(diff(t[seq_len(k)]) <= 0)) return(1e10)
    -scoring(t, x, y, k, offset)$value
  }
  slope <- function(t) -scoring(t, x, y, k, offset)$score
  found <- optim(start, goal, slope, method = "BFGS", control = list(reltol = 1e-15, maxit = 5000))
  for (step in 1:3) { # polish
    p <- found$par
    hessian <- sapply(seq_along(p), function(j) {
      e <- replace(numeric(length(p)), j, 1e-5)
      (slope(p + e) - slope(p - e)) / 2e-5
    })
    found$par <- p - solve((hessian + t(hessian)) / 2, slope(p))
  }
  found
}

ordinal <- function(features, grade) {
  used <- complete.cases(features, grade)
  raw <- as.matrix(features[used, , drop = FALSE])
  level <- factor(grade[used])
  y <- as.integer(level)
  k <- nlevels(level) - 1
  scale <- apply(raw, 2, sd)
  x <- scale(raw)
  frame <- data.frame(x, level = level)
  polr_fit <- polr(level ~ ., data = frame, Hess = TRUE, control = list(reltol = 1e-16, maxit = 1000))
  start <- c(polr_fit$zeta, coef(polr_fit))
  best <- fit(x, y, k, start)$par
  value <- scoring(best, x, y, k)$value
  covariance <- solve(information(best, x, y, k))
  move <- cbind(diag(k), matrix(colMeans(raw) / scale, k, ncol(x), byrow = TRUE))

  without <- function(j, held) {
    others <- x[, -j, drop = FALSE]
    par <- best[-(k + j)]
    found <- fit(others, y, k, par, offset = held * x[, j])
    scoring(found$par, others, y, k, held * x[, j])$value
  }
  slopes <- best[-seq_len(k)]
  errors <- sqrt(diag(covariance))[-seq_len(k)]
  limit <- qchisq(0.95, 1)
  profile <- t(sapply(seq_along(slopes), function(j) {
    fall <- function(b) 2 * (value - without(j, b)) - limit
    c(
      uniroot(fall, slopes[j] + c(-6, 0) * errors[j], tol = 1e-12)$root,
      uniroot(fall, slopes[j] + c(0, 6) * errors[j], tol = 1e-12)$root
    )
  }))
  lr <- sapply(seq_along(slopes), function(j) 2 * (value - without(j, 0)))
  counts <- as.numeric(table(level))
  null <- sum(counts * log(counts / sum(counts)))
  list(
    n = sum(used), counts = counts, polr = list(estimate = unname(coef(polr_fit) / scale),
      se = unname(sqrt(diag(vcov(polr_fit)))[seq_along(slopes)] / scale), log_likelihood = as.numeric(logLik(polr_fit))),
    estimate = unname(slopes / scale), se = unname(errors / scale),
    thresholds = as.numeric(move %*% best), thresholds_se = sqrt(diag(move %*% covariance %*% t(move))),
    log_likelihood = value, null_log_likelihood = null, aic = -2 * value + 2 * length(best),
    lr = lr, lr_all = 2 * (value - null), profile = unname(profile / scale), brant = brant(x, y, k),
    score = score_test(best, x, y, k)
  )
}

# ---- Brant's test ------------------------------------------------------------------------------------
brant <- function(x, y, k) {
  cuts <- lapply(seq_len(k), function(j) {
    glm(as.integer(y > j) ~ x, family = binomial, control = glm.control(epsilon = 1e-15, maxit = 200))
  })
  design <- cbind(1, x)
  above <- sapply(cuts, fitted)
  beta <- sapply(cuts, function(cut) coef(cut)[-1])
  beta <- matrix(beta, ncol = k)
  p <- ncol(x)
  bread <- lapply(seq_len(k), function(j) solve(t(design) %*% (above[, j] * (1 - above[, j]) * design)))
  covariance <- matrix(0, k * p, k * p) # features run fastest
  for (j in seq_len(k)) for (l in j:k) {
    weight <- above[, l] - above[, j] * above[, l]
    block <- (bread[[j]] %*% t(design) %*% (weight * design) %*% bread[[l]])[-1, -1, drop = FALSE]
    covariance[(j - 1) * p + seq_len(p), (l - 1) * p + seq_len(p)] <- block
    covariance[(l - 1) * p + seq_len(p), (j - 1) * p + seq_len(p)] <- t(block)
  }
  test <- function(columns) {
    contrast <- kronecker(cbind(-1, diag(k - 1)), diag(p)[columns, , drop = FALSE])
    difference <- contrast %*% as.vector(beta)
    statistic <- drop(t(difference) %*% solve(contrast %*% covariance %*% t(contrast)) %*% difference)
    c(statistic, length(difference), pchisq(statistic, length(difference), lower.tail = FALSE))
  }
  list(omnibus = test(seq_len(p)), features = lapply(seq_len(p), test), cuts = t(beta / attr(x, "scaled:scale")))
}

# ---- score test ----------------------------------------------------------------------------------------
# The model with a slope for each cut, terms cut by cut, at the proportional fit; expected information.
score_test <- function(terms, x, y, k) {
  cumulative <- probabilities(terms, x, k)
  p <- cbind(cumulative, 1) - cbind(0, cumulative)
  size <- k * (1 + ncol(x))
  score <- numeric(size)
  information <- matrix(0, size, size)
  for (i in seq_along(y)) {
    jacobian <- matrix(0, k + 1, size) # derivatives of the probabilities of the categories
    for (j in seq_len(k)) {
      columns <- (j - 1) * (1 + ncol(x)) + seq_len(1 + ncol(x))
      change <- cumulative[i, j] * (1 - cumulative[i, j]) * c(1, -x[i, ])
      jacobian[j, columns] <- jacobian[j, columns] + change
      jacobian[j + 1, columns] <- jacobian[j + 1, columns] - change
    }
    score <- score + jacobian[y[i], ] / p[i, y[i]]
    information <- information + t(jacobian) %*% (jacobian / p[i, ])
  }
  drop(score %*% solve(information, score))
}

# ---- data --------------------------------------------------------------------------------------------
wdbc <- read.csv(file.path(folder, "wdbc.csv"))
cohort <- read.csv(file.path(folder, "cohort.csv"), na.strings = "NA")
house <- MASS::housing[rep(seq_len(nrow(MASS::housing)), MASS::housing$Freq), ]
housing <- data.frame(
  influence = as.integer(house$Infl), contact = as.integer(house$Cont), tower = as.integer(house$Type == "Tower")
)
result <- list(
  wdbc = ordinal(wdbc[c("mean_texture", "mean_symmetry")], wdbc$grade),
  wdbc_one = ordinal(wdbc["mean_smoothness"], wdbc$grade),
  cohort = ordinal(cohort[c("gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md")], cohort$lovett_grade),
  mtcars = ordinal(mtcars[c("mpg", "hp")], mtcars$gear),
  housing = ordinal(housing, as.integer(house$Sat))
)
# The data that are not in a file here, so that Python can fit them too.
result$data <- list(
  mtcars = list(mpg = mtcars$mpg, hp = mtcars$hp, gear = mtcars$gear),
  housing = c(as.list(aggregate(list(n = house$Freq > 0), c(housing, list(satisfaction = as.integer(house$Sat))), sum)))
)
write(toJSON(result, digits = I(17), auto_unbox = TRUE, pretty = TRUE), file.path(folder, "ordinal.json"))
