# Reference numbers for dtimuscle/statistics/elastic_net.py and penalised.py, from base R.
#
#     Rscript tests/reference/penalised.R tests/reference
#
# Reads wdbc.csv and cohort.csv, writes penalised.json. Ridge: Newton-Raphson on the objective itself, started
# where optim (BFGS) ends. Elastic net: the coefficients are split into positive and negative parts, so that
# the objective is smooth with bounds (L-BFGS-B); the coefficients that are not zero are then polished by
# Newton steps with their signs held. Features have mean 0 and SD 1 (divisor n), as in glmnet.

suppressMessages(library(jsonlite))

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("usage: Rscript penalised.R FOLDER")

standardised <- function(values) {
  centred <- scale(as.matrix(values), scale = FALSE)
  sweep(centred, 2, sqrt(colMeans(centred^2)), "/")
}

log_loss <- function(eta, y) mean(log1p(exp(-abs(eta))) + pmax(eta, 0) - y * eta)

# Newton steps on the free coefficients, the intercept first among them; signs are 0 for ridge.
polish <- function(beta, free, signs, x, y, l1, l2) {
  design <- cbind(1, x)
  for (step in 1:50) {
    probability <- plogis(drop(design %*% beta))
    slope <- drop(t(design) %*% (probability - y)) / length(y) + c(0, l1 * signs + l2 * beta[-1])
    bend <- t(design) %*% (probability * (1 - probability) * design) / length(y) + diag(c(0, rep(l2, ncol(x))))
    beta[free] <- beta[free] - solve(bend[free, free], slope[free])
  }
  beta
}

ridge <- function(x, y, lambda) {
  goal <- function(b) log_loss(b[1] + drop(x %*% b[-1]), y) + lambda / 2 * sum(b[-1]^2)
  slope <- function(b) {
    r <- (plogis(b[1] + drop(x %*% b[-1])) - y) / length(y)
    c(sum(r), drop(t(x) %*% r) + lambda * b[-1])
  }
  found <- optim(numeric(ncol(x) + 1), goal, slope, method = "BFGS", control = list(reltol = 1e-14, maxit = 5000))
  beta <- polish(found$par, rep(TRUE, ncol(x) + 1), rep(0, ncol(x)), x, y, 0, lambda)
  stopifnot(max(abs(beta - found$par)) < 1e-3)
  list(beta = beta, objective = goal(beta))
}

elastic_net <- function(x, y, ratio, lambda) {
  k <- ncol(x)
  l1 <- lambda * ratio
  l2 <- lambda * (1 - ratio)
  both <- function(b) b[1 + seq_len(k)] - b[1 + k + seq_len(k)]
  goal <- function(b) log_loss(b[1] + drop(x %*% both(b)), y) + l1 * sum(b[-1]) + l2 / 2 * sum(both(b)^2)
  slope <- function(b) {
    r <- (plogis(b[1] + drop(x %*% both(b))) - y) / length(y)
    own <- drop(t(x) %*% r) + l2 * both(b)
    c(sum(r), own + l1, -own + l1)
  }
  found <- optim(numeric(2 * k + 1), goal, slope,
    method = "L-BFGS-B", lower = c(-Inf, rep(0, 2 * k)), control = list(factr = 1, pgtol = 0, maxit = 10000)
  )
  raw <- both(found$par)
  start <- ifelse(abs(raw) < 1e-5, 0, raw)
  beta <- polish(c(found$par[1], start), c(TRUE, start != 0), sign(start), x, y, l1, l2)
  stopifnot(max(abs(beta - c(found$par[1], raw))) < 1e-4, all(sign(beta[-1]) == sign(start)))
  list(beta = beta, objective = log_loss(beta[1] + drop(x %*% beta[-1]), y) + l1 * sum(abs(beta[-1])) + l2 / 2 * sum(beta[-1]^2))
}

all_of <- function(values, y) {
  used <- complete.cases(values, y)
  x <- standardised(values[used, ])
  y <- y[used]
  cases <- list()
  for (lambda in c(0.5, 0.05, 0.005)) {
    cases[[length(cases) + 1]] <- c(list(l1_ratio = 0, penalty = lambda), ridge(x, y, lambda))
    for (ratio in c(0.5, 1)) {
      if (lambda < 0.5) {
        cases[[length(cases) + 1]] <- c(list(l1_ratio = ratio, penalty = lambda), elastic_net(x, y, ratio, lambda))
      }
    }
  }
  cases
}

wdbc <- read.csv(file.path(folder, "wdbc.csv"))
cohort <- read.csv(file.path(folder, "cohort.csv"), na.strings = "NA")
result <- list(
  wdbc = all_of(wdbc[c("mean_texture", "mean_smoothness", "mean_symmetry", "mean_fractal_dimension", "worst_smoothness")], wdbc$malignant),
  cohort = all_of(
    cohort[c("gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md", "age")],
    as.integer(cohort$lovett_grade < 4)
  )
)
write(toJSON(result, digits = I(17), auto_unbox = TRUE, pretty = TRUE), file.path(folder, "penalised.json"))
