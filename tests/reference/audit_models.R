# Reference numbers for dtimuscle/replication/audit/{auc,alternatives,combination,adjustment,events,multiplicity,
# correlation}.py, from base R.
#
#     Rscript tests/reference/audit_models.R tests/reference
#
# Writes audit_models.json; needs no data. Other routes than the package where there are any: integrals instead of
# Owen's T, of the incomplete beta function and of closed forms; matrices instead of formulas of two variables; a
# numerical search instead of the area's optimal cut.

suppressMessages(library(jsonlite))

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("usage: Rscript audit_models.R FOLDER")

integral <- function(f, from, to) integrate(f, from, to, rel.tol = 1e-11, abs.tol = 0, subdivisions = 2000)$value
solve_for <- function(f, interval) uniroot(f, interval, tol = 1e-14, maxiter = 10000)$root

# Printed means and SDs: poor and good function, with 31 and 69 patients.
printed <- data.frame(
  m1 = c(1.02, 1.07, 1.04, 5.0, 0.31), s1 = c(0.34, 0.33, 0.34, 2.0, 0.05), n1 = c(31, 31, 31, 12, 20),
  m2 = c(1.74, 1.76, 1.68, 4.1, 0.28), s2 = c(0.41, 0.38, 0.34, 0.7, 0.04), n2 = c(69, 69, 69, 45, 17)
)

# Probability that a draw of the group with the lower mean lies below one of the other: by integration.
area <- function(m1, s1, m2, s2) {
  low <- if (m1 <= m2) c(m1, s1) else c(m2, s2)
  high <- if (m1 <= m2) c(m2, s2) else c(m1, s1)
  integral(function(x) pnorm(x, low[1], low[2]) * dnorm(x, high[1], high[2]), high[1] - 12 * high[2], high[1] + 12 * high[2])
}

# Exact variance of the empirical area (Bamber 1975): integrals of squared distribution functions.
area_error <- function(m1, s1, n1, m2, s2, n2) {
  low <- if (m1 <= m2) c(m1, s1, n1) else c(m2, s2, n2)
  high <- if (m1 <= m2) c(m2, s2, n2) else c(m1, s1, n1)
  span <- function(group) c(group[1] - 12 * group[2], group[1] + 12 * group[2])
  a <- area(m1, s1, m2, s2)
  # Two of the high group above one of the low group, and one above two.
  two_high <- integral(
    function(y) pnorm(y, high[1], high[2], lower.tail = FALSE)^2 * dnorm(y, low[1], low[2]), span(low)[1], span(low)[2]
  )
  two_low <- integral(
    function(x) pnorm(x, low[1], low[2])^2 * dnorm(x, high[1], high[2]), span(high)[1], span(high)[2]
  )
  sqrt((a * (1 - a) + (high[3] - 1) * (two_high - a^2) + (low[3] - 1) * (two_low - a^2)) / (low[3] * high[3]))
}

log_normal_area <- function(m1, s1, m2, s2) {
  parameters <- function(m, s) {
    v <- log(1 + (s / m)^2)
    c(log(m) - v / 2, sqrt(v))
  }
  a <- parameters(min(m1, m2), if (m1 <= m2) s1 else s2)
  b <- parameters(max(m1, m2), if (m1 <= m2) s2 else s1)
  integral(function(x) plnorm(exp(x), a[1], a[2]) * dlnorm(exp(x), b[1], b[2]) * exp(x), b[1] - 12 * b[2], b[1] + 12 * b[2])
}

gamma_area <- function(m1, s1, m2, s2) {
  low <- if (m1 <= m2) c(m1, s1) else c(m2, s2)
  high <- if (m1 <= m2) c(m2, s2) else c(m1, s1)
  shape <- function(group) (group[1] / group[2])^2
  rate <- function(group) group[1] / group[2]^2
  # Over the quantiles of the higher group.
  integral(function(u) pgamma(qgamma(u, shape(high), rate(high)), shape(low), rate(low)), 0, 1)
}

cantelli <- function(m1, s1, n1, m2, s2, n2) {
  variance <- s1^2 * (n1 - 1) / n1 + s2^2 * (n2 - 1) / n2
  1 - variance / (variance + (m1 - m2)^2)
}

z_limit <- qnorm(0.001 / 2, lower.tail = FALSE)
single <- printed
single$auc <- with(printed, mapply(area, m1, s1, m2, s2))
single$se <- with(printed, mapply(area_error, m1, s1, n1, m2, s2, n2))
single$limit <- single$auc - z_limit * single$se
single$least <- with(printed, mapply(cantelli, m1, s1, n1, m2, s2, n2))
single$lognormal <- with(printed, mapply(log_normal_area, m1, s1, m2, s2))
single$gamma <- with(printed, mapply(gamma_area, m1, s1, m2, s2))
single$auc_if_se <- with(printed, mapply(area, m1, s1 * sqrt(n1), m2, s2 * sqrt(n2)))

# Patients, at the printed ratio, in whom the limit comes down to 0.7225.
single$factor_for_chance <- with(printed, mapply(function(m1, s1, n1, m2, s2, n2) {
  excess <- function(f) area(m1, s1, m2, s2) - z_limit * area_error(m1, s1, n1 * f, m2, s2, n2 * f) - 0.7225
  if (excess(1) <= 0) NA else solve_for(excess, c(2 / min(n1, n2), 1))
}, m1, s1, n1, m2, s2, n2))

# Loss of a fitted linear combination in new patients.
fitted <- expand.grid(auc = c(0.6, 0.75, 0.915), k = c(1, 4, 20, 66))
fitted$new <- with(fitted, {
  d2 <- 2 * qnorm(auc)^2
  pnorm(d2 * sqrt((98 - k) / 98) / sqrt(d2 + k * 100 / (31 * 69)) / sqrt(2))
})

# The mean of several muscles: variances by a matrix.
pooled <- expand.grid(auc = c(0.7, 0.9115), differing = c(1, 2), alike = c(0, 3, 8), r = c(0.3, 0.5, 0.7))
pooled$pooled <- mapply(function(auc, differing, alike, r) {
  m <- differing + alike
  covariance <- matrix(r, m, m)
  diag(covariance) <- 1
  weights <- rep(1 / m, m)
  shift <- sum(weights * c(rep(sqrt(2) * qnorm(auc), differing), rep(0, alike)))
  pnorm(shift / sqrt(drop(weights %*% covariance %*% weights)) / sqrt(2))
}, pooled$auc, pooled$differing, pooled$alike, pooled$r)

# Printed intervals: standard errors on both scales, and asymmetry.
hanley_mcneil <- function(auc, n1, n2) {
  q1 <- auc / (2 - auc)
  q2 <- 2 * auc^2 / (1 + auc)
  sqrt((auc * (1 - auc) + (n1 - 1) * (q1 - auc^2) + (n2 - 1) * (q2 - auc^2)) / (n1 * n2))
}
intervals <- data.frame(
  auc = c(0.722, 0.9, 0.6), low = c(0.6239, 0.81, 0.45), high = c(0.821, 0.95, 0.73), level = c(0.95, 0.9, 0.95)
)
intervals <- within(intervals, {
  z <- qnorm((1 + level) / 2)
  linear <- (high - low) / (2 * z)
  logit <- (qlogis(high) - qlogis(low)) / (2 * z) * auc * (1 - auc)
  asymmetry <- (high - auc) - (auc - low)
  asymmetry_logit <- (qlogis(high) - qlogis(auc)) - (qlogis(auc) - qlogis(low))
})

# Smallest variance of a staircase curve: minimise over decreasing step functions h(y), y = rank of the event, of area
# A: E h^2 / n1 + E k^2 / n2 - A^2 (1/n1 + 1/n2), k the same curve seen from the other axis. The optimum is cut off by
# a line; its place is found by root finding, and both moments by integration.
staircase <- function(auc, w1, w2) {
  a <- min(auc, 1 - auc)
  curve <- function(c) function(y) pmin(pmax((c - w2 * y) / w1, 0), 1)
  kinks <- function(c) sort(unique(pmin(pmax(c(0, (c - w1) / w2, c / w2, 1), 0), 1)))
  pieces <- function(f, c) {
    at <- kinks(c)
    sum(mapply(function(from, to) if (to > from) integral(f, from, to) else 0, head(at, -1), tail(at, -1)))
  }
  c <- solve_for(function(c) pieces(curve(c), c) - a, c(1e-9, w1 + w2 - 1e-9))
  h <- curve(c)
  # 2 times the integral of (w1 x + w2 y) over the region below the curve.
  pieces(function(y) w1 * h(y)^2 + 2 * w2 * y * h(y), c) - (w1 + w2) * a^2
}
bounds <- expand.grid(auc = c(0.3, 0.55, 0.722, 0.98), n1 = c(31, 5), n2 = c(69, 5))
bounds$untied <- mapply(function(auc, n1, n2) sqrt(staircase(auc, 1 / n1, 1 / n2)), bounds$auc, bounds$n1, bounds$n2)
# With ties the curve is the mean of two staircases: a quarter of the smallest sum.
tied <- function(auc, w1, w2) {
  of <- function(a) if (a < 1e-9 || a > 1 - 1e-9) 0 else staircase(a, w1, w2)
  total <- function(b) (of(b) + of(2 * auc - b)) / 4
  ends <- c(max(0, 2 * auc - 1), min(1, 2 * auc))
  at <- seq(ends[1], ends[2], length.out = 41)
  values <- sapply(at, total)
  i <- which.min(values)
  around <- at[c(max(i - 1, 1), min(i + 1, length(at)))]
  min(values, optimize(total, around, tol = 1e-9)$objective)
}
bounds$tied <- mapply(function(auc, n1, n2) sqrt(tied(auc, 1 / n1, 1 / n2)), bounds$auc, bounds$n1, bounds$n2)
bounds$spread <- with(bounds, sqrt(auc * (1 - auc) / (pmin(n1, n2) - 1)))
bounds$exact <- with(bounds, {
  m <- pmin(n1, n2)
  (qbeta(0.975, m * auc + 1, m * (1 - auc)) - qbeta(0.025, m * auc, m * (1 - auc) + 1)) / (2 * qnorm(0.975))
})
bounds$expected <- with(bounds, hanley_mcneil(pmax(auc, 1 - auc), n1, n2))
sizes <- data.frame(auc = c(0.722, 0.9), se = c(0.0503, 0.02))
sizes$times <- mapply(
  function(auc, se) solve_for(function(k) hanley_mcneil(auc, 31 * k, 69 * k) - se, c(0.1, 100)), sizes$auc, sizes$se
)

# What the lower of two AUCs may be for P = 0.05 (Hanley & McNeil 1983).
lower <- data.frame(r = c(0.3, 0.5, 0.7, 0.9))
lower$auc <- sapply(lower$r, function(r) {
  a <- hanley_mcneil(0.722, 31, 69)
  solve_for(function(b) {
    s <- hanley_mcneil(b, 31, 69)
    2 * pnorm(-(0.722 - b) / sqrt(a^2 + s^2 - 2 * r * a * s)) - 0.05
  }, c(0.5, 0.7219))
})

# Two features together: where the weight in the discriminant turns, by matrices.
turning <- expand.grid(d1 = c(2, 3, 4), d2 = c(0.5, 1.87))
turning$r <- mapply(
  function(d1, d2) solve_for(function(r) solve(matrix(c(1, r, r, 1), 2), c(d1, d2))[2], c(0, 0.999)), turning$d1, turning$d2
)
turning$auc <- mapply(function(d1, d2, r) {
  d <- c(d1, d2)
  pnorm(sqrt(drop(d %*% solve(matrix(c(1, r, r, 1), 2), d)) / 2))
}, turning$d1, turning$d2, turning$r)

# Likelihood-ratio chi-square of a normal linear predictor: entropies, one group at a time.
shrinkage <- expand.grid(auc = c(0.55, 0.722, 0.9), n1 = c(31, 10), n2 = 69, k = c(4, 8))
shrinkage$chi_square <- mapply(function(auc, n1, n2) {
  d <- sqrt(2) * qnorm(auc)
  p <- n1 / (n1 + n2)
  event <- integral(function(x) dnorm(x, d) * (plogis(qlogis(p) + d * x - d^2 / 2, log.p = TRUE) - log(p)), d - 12, d + 12)
  other <- integral(
    function(x) dnorm(x) * (plogis(qlogis(p) + d * x - d^2 / 2, lower.tail = FALSE, log.p = TRUE) - log(1 - p)), -12, 12
  )
  2 * (n1 * event + n2 * other)
}, shrinkage$auc, shrinkage$n1, shrinkage$n2)
shrinkage$remains <- with(shrinkage, pmax(1 - k / chi_square, 0))

chance <- data.frame(n = c(5, 22, 60))
chance$any <- pbinom(0, chance$n, 0.05, lower.tail = FALSE)
chance$two <- pbinom(1, chance$n, 0.05, lower.tail = FALSE)

# Correlations: t and Fisher's interval; Kendall's normal approximation; Wald's P of an odds ratio.
correlation <- expand.grid(r = c(-0.62, 0.1, 0.45), n = c(10, 90))
correlation$p <- with(correlation, pf(r^2 * (n - 2) / (1 - r^2), 1, n - 2, lower.tail = FALSE))
correlation$low <- with(correlation, tanh(0.5 * log((1 + r) / (1 - r)) - qnorm(0.975) / sqrt(n - 3)))
correlation$high <- with(correlation, tanh(0.5 * log((1 + r) / (1 - r)) + qnorm(0.975) / sqrt(n - 3)))
correlation$kendall <- with(correlation, pchisq(r^2 * 9 * n * (n - 1) / (2 * (2 * n + 5)), 1, lower.tail = FALSE))
ratio <- data.frame(odds_ratio = c(0.4, 2.5), low = c(0.2, 1.1), high = c(0.8, 5.6))
ratio$p <- with(ratio, pchisq((log(odds_ratio) / (log(high / low) / (2 * qnorm(0.975))))^2, 1, lower.tail = FALSE))

write_json(
  list(
    versions = list(R = R.version.string), z_limit = z_limit, single = single, fitted = fitted, pooled = pooled,
    intervals = intervals, bounds = bounds, sizes = sizes, lower = lower, turning = turning,
    shrinkage = shrinkage, chance = chance, correlation = correlation, ratio = ratio
  ),
  file.path(folder, "audit_models.json"), digits = I(17), auto_unbox = TRUE, pretty = TRUE, na = "null"
)
