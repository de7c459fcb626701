# Reference numbers for missing values and multiple imputation, from base R and pROC.
#
#     Rscript tests/reference/imputation.R tests/reference
#
# Reads cohort.csv and writes imputation.json. Rubin's rules with the degrees of freedom of Barnard & Rubin (1999)
# are written out here as they stand in mice 3.15 (pool.scalar, barnard.rubin), which gives the same numbers.

suppressMessages({
  library(jsonlite)
  library(pROC)
})

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("usage: Rscript imputation.R FOLDER")

pool <- function(q, u, complete_df = Inf, level = 0.95) {
  m <- length(q)
  between <- var(q)
  within <- mean(u)
  total <- within + (1 + 1 / m) * between
  lambda <- max((1 + 1 / m) * between / total, 1e-4)
  old <- (m - 1) / lambda^2
  observed <- (complete_df + 1) / (complete_df + 3) * complete_df * (1 - lambda)
  df <- if (is.infinite(complete_df)) old else old * observed / (old + observed)
  r <- (1 + 1 / m) * between / within
  fmi <- (r + 2 / (df + 3)) / (r + 1)
  margin <- qt((1 + level) / 2, df) * sqrt(total)
  list(
    estimate = mean(q), within = within, between = between, total = total, df = df,
    interval = mean(q) + c(-margin, margin), p = 2 * pt(-abs(mean(q)) / sqrt(total), df), fmi = fmi,
    relative_efficiency = 1 / (1 + fmi / m)
  )
}

# ---- Rubin's rules ------------------------------------------------------------------------------
set.seed(7)
cases <- list(
  list(m = 5, df = 98, spread = 1), list(m = 20, df = 12, spread = 0.2), list(m = 20, df = Inf, spread = 1),
  list(m = 2, df = 4, spread = 2), list(m = 50, df = 3000, spread = 0.003), list(m = 3, df = 30, spread = 0)
)
rubin <- lapply(cases, function(case) {
  q <- 0.8 + case$spread * rnorm(case$m)
  u <- runif(case$m, 0.2, 0.6)
  df <- if (is.infinite(case$df)) 1e300 else case$df
  c(list(q = q, u = u, complete_df = df), pool(q, u, case$df, 0.9))
})

# ---- analyses of imputed data -------------------------------------------------------------------
cohort <- read.csv(file.path(folder, "cohort.csv"), na.strings = "NA")
cohort <- cohort[!is.na(cohort$lovett_grade), ]
cohort$poor <- as.integer(cohort$lovett_grade < 4)
features <- c("gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md")
covariates <- c("age", "sex", "site", "smoker")

# Nothing random, so that any program can repeat it: data set i takes the quantile i / 6 of what was observed.
filled <- lapply(1:5, function(i) {
  data <- cohort
  for (name in c(features, "age")) data[is.na(data[[name]]), name] <- quantile(data[[name]], i / 6, na.rm = TRUE)
  data
})
n <- nrow(cohort)
pool_over <- function(analyse, complete_df) {
  found <- sapply(filled, analyse)
  pool(found[1, ], found[2, ], complete_df)
}
maximise <- function(terms, data) {
  model <- glm(reformulate(terms, "poor"), binomial, data)
  for (again in 1:3) model <- glm(reformulate(terms, "poor"), binomial, data, start = coef(model))
  model
}
log_odds <- function(terms, term, step) {
  function(data) {
    table <- coef(summary(maximise(terms, data)))
    c(table[term, 1] * step, (table[term, 2] * step)^2)
  }
}
step_of <- function(name) if (grepl("fa$", name)) 0.1 else if (grepl("md$", name)) 1e-4 else 1
curve <- function(score, data, direction) roc(data$poor, score, levels = c(0, 1), direction = direction, quiet = TRUE)
logit_auc <- function(r) {
  a <- as.numeric(auc(r))
  c(log(a / (1 - a)), var(r, method = "delong") / (a * (1 - a))^2)
}
incomplete <- c("gracilis.md", "adductor_longus.fa")
alone <- lapply(setNames(nm = incomplete), function(name) {
  list(
    mean_poor = pool_over(function(d) {
      x <- d[d$poor == 1, name]
      c(mean(x), var(x) / length(x))
    }, sum(cohort$poor) - 1),
    difference = pool_over(function(d) {
      test <- t.test(d[d$poor == 1, name], d[d$poor == 0, name], var.equal = TRUE)
      c(diff(rev(test$estimate)), test$stderr^2)
    }, n - 2),
    correlation = pool_over(function(d) c(atanh(cor(d[[name]], d$lovett_grade)), 1 / (n - 3)), Inf),
    univariate_odds_ratio = pool_over(log_odds(name, name, step_of(name)), n - 2),
    auc = pool_over(function(d) logit_auc(curve(d[[name]], d, ">")), Inf)
  )
})
models <- list(fa = features[c(1, 3)], md = features[c(2, 4)], `fa+md` = features[c(1, 2, 3, 4)])
fitted_curve <- function(terms, d) curve(unname(fitted(maximise(terms, d))), d, "<")
difference <- function(first, second) {
  pool_over(function(d) {
    a <- fitted_curve(models[[first]], d)
    b <- fitted_curve(models[[second]], d)
    c(
      as.numeric(auc(a)) - as.numeric(auc(b)),
      var(a, method = "delong") + var(b, method = "delong") - 2 * cov(a, b, method = "delong")
    )
  }, Inf)
}
prespecified <- c("gracilis.md", "adductor_longus.fa", "age")

# ---- patterns -----------------------------------------------------------------------------------
everything <- c(features, covariates)
pattern <- apply(is.na(cohort[everything]), 1, function(row) paste(everything[row], collapse = "+"))
counts <- table(pattern)
fisher <- lapply(setNames(nm = c(incomplete, "age")), function(name) {
  fisher.test(table(is.na(cohort[[name]]), cohort$poor))$p.value
})

write_json(
  list(
    versions = list(R = R.version.string, pROC = as.character(packageVersion("pROC"))),
    rubin = rubin, n = n, alone = alone,
    prespecified = lapply(setNames(nm = prespecified), function(name) {
      pool_over(log_odds(prespecified, name, step_of(name)), n - length(prespecified) - 1)
    }),
    combined = lapply(models, function(terms) pool_over(function(d) logit_auc(fitted_curve(terms, d)), Inf)),
    differences = list(
      `fa+md - fa` = difference("fa+md", "fa"), `fa+md - md` = difference("fa+md", "md"),
      `fa - md` = difference("fa", "md")
    ),
    patterns = setNames(as.list(as.integer(counts)), ifelse(names(counts) == "", "complete", names(counts))),
    fisher = fisher
  ),
  file.path(folder, "imputation.json"), digits = I(17), auto_unbox = TRUE, pretty = TRUE
)
