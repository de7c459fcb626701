# Reference numbers for dtimuscle/replication (criteria.py, effects.py), from base R.
#
#     Rscript tests/reference/replication.R tests/reference
#
# Writes replication.json; needs no data. Where there is a formula, another way to the number is taken: the sceptical P
# is searched for as the level at which the sufficiently sceptical prior conflicts with the new data, the Bayes factor is
# integrated over the effect, the combined estimate is the maximum of the likelihood, the small effect is looked for with
# the noncentral t distribution of R.

suppressMessages(library(jsonlite))

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("usage: Rscript replication.R FOLDER")

solve_for <- function(f, interval) uniroot(f, interval, tol = .Machine$double.eps, maxiter = 10000)$root

pairs <- expand.grid(
  original = c(0.45, -0.2, 2.6), original_se = c(0.11, 0.35), replication = c(0.3, -0.05, 1.9), replication_se = c(0.07, 0.5)
)

# Patil, Peng & Leek 2016: quantiles of the distribution of the new estimate.
pairs$prediction_low <- with(pairs, qnorm(0.025, original, sqrt(original_se^2 + replication_se^2)))
pairs$prediction_high <- with(pairs, qnorm(0.975, original, sqrt(original_se^2 + replication_se^2)))

# The same with degrees of freedom (Satterthwaite 1946).
with_df <- expand.grid(original_df = c(4, 98), replication_df = c(9, Inf), original_se = 0.2, replication_se = c(0.1, 0.4))
with_df$high <- with(with_df, {
  a <- original_se^2
  b <- replication_se^2
  nu <- (a + b)^2 / (a^2 / original_df + b^2 / replication_df)
  1 + qt(0.975, nu) * sqrt(a + b)
})

# Held 2020. At level alpha (two-sided) a prior N(0, tau^2) makes the original just not credible when one end of the
# posterior interval is zero; the replication conflicts with it when its prior-predictive P is below alpha.
conflict <- function(z, zo, zr, c) {
  # In units of the original's standard error: so = 1, sr = 1/sqrt(c). Posterior of theta: variance v, mean v * zo, and
  # its end is zero when v * zo = z * sqrt(v).
  v <- (z / zo)^2
  tau2 <- 1 / (1 / v - 1)
  abs(zr) / sqrt(c) / sqrt(tau2 + 1 / c) - z
}
sceptical <- expand.grid(zo = c(2.0, -3.1, 8), zr = c(2.4, 0.7, -2.2, 6), c = c(0.4, 1, 3))
sceptical$z <- mapply(
  function(zo, zr, c) solve_for(function(z) conflict(z, abs(zo), zr, c), c(1e-9, abs(zo) * (1 - 1e-12))),
  sceptical$zo, sceptical$zr, sceptical$c
)
one_sided <- function(z, same) ifelse(same, pnorm(z, lower.tail = FALSE), pnorm(z))
sceptical$nominal <- with(sceptical, one_sided(z, zo * zr > 0))
sceptical$golden <- with(sceptical, one_sided(z * sqrt((1 + sqrt(5)) / 2), zo * zr > 0))

# A t value as the normal deviate with its P.
deviates <- expand.grid(t = c(0.3, -2.2, 8.5, 40), df = c(3, 30, 98))
deviates$z <- with(deviates, -sign(t) * qnorm(pt(-abs(t), df, log.p = TRUE), log.p = TRUE))

# Verhagen & Wagenmakers 2014, with normal likelihood: over the effect, weighted by what the original left known.
pairs$bayes_factor <- mapply(
  function(original, original_se, replication, replication_se) {
    likelihood <- function(theta) {
      exp(dnorm(replication, theta, replication_se, log = TRUE) - dnorm(replication, 0, replication_se, log = TRUE))
    }
    centre <- weighted.mean(c(original, replication), 1 / c(original_se, replication_se)^2)
    width <- 12 / sqrt(1 / original_se^2 + 1 / replication_se^2)
    integrate(
      function(theta) likelihood(theta) * dnorm(theta, original, original_se), centre - width, centre + width,
      rel.tol = 1e-12, subdivisions = 1000
    )$value
  }, pairs$original, pairs$original_se, pairs$replication, pairs$replication_se
)

# Both studies: maximum of the likelihood; its curvature; Q against chi-squared.
pairs$combined <- with(pairs, mapply(
  function(a, sa, b, sb) solve_for(function(theta) (a - theta) / sa^2 + (b - theta) / sb^2, range(a, b) + c(-1, 1)),
  original, original_se, replication, replication_se
))
pairs$combined_high <- with(pairs, combined + qnorm(0.975) / sqrt(1 / original_se^2 + 1 / replication_se^2))
pairs$q_p <- with(pairs, pchisq(
  ((original - combined) / original_se)^2 + ((replication - combined) / replication_se)^2, 1, lower.tail = FALSE
))

# Simonsohn 2015.
power_of <- function(ncp, df) {
  critical <- qt(0.975, df)
  if (is.infinite(df)) return(pnorm(ncp - critical) + pnorm(-ncp - critical))
  pt(critical, df, ncp, lower.tail = FALSE) + pt(-critical, df, ncp)
}
telescopes <- expand.grid(n1 = c(20, 31), n2 = c(20, 69), new_n1 = c(12, 90), new_n2 = 75, new_d = c(-0.3, 0.1, 0.6))
telescopes$d33 <- mapply(
  function(n1, n2) solve_for(function(d) power_of(d / sqrt(1 / n1 + 1 / n2), n1 + n2 - 2) - 1 / 3, c(0.01, 5)),
  telescopes$n1, telescopes$n2
)
telescopes$p <- with(telescopes, {
  root <- sqrt(1 / new_n1 + 1 / new_n2)
  mapply(pt, new_d / root, new_n1 + new_n2 - 2, d33 / root)
})
normal_ncp <- solve_for(function(ncp) power_of(ncp, Inf) - 1 / 3, c(0.1, 5))

# Scales.
hanley <- function(a, n1, n2) {
  q1 <- a / (2 - a)
  q2 <- 2 * a^2 / (1 + a)
  sqrt((a * (1 - a) + (n1 - 1) * (q1 - a^2) + (n2 - 1) * (q2 - a^2)) / n1 / n2)
}
set.seed(1)
poor <- as.vector(scale(rnorm(31))) * 0.34e-3 + 1.02e-3
good <- as.vector(scale(rnorm(69))) * 0.41e-3 + 1.74e-3
student <- t.test(poor, good, var.equal = TRUE)
alone <- t.test(poor)
r_test <- function(r, n, level) tanh(atanh(r) + c(-1, 1) * qnorm((1 + level) / 2) / sqrt(n - 3))
scales <- list(
  difference = list(value = unname(diff(rev(student$estimate))), se = student$stderr, df = unname(student$parameter)),
  mean = list(value = unname(alone$estimate), se = alone$stderr, df = unname(alone$parameter)),
  correlation = list(z = atanh(-0.45), se = 1 / sqrt(87), ends = r_test(-0.45, 90, 0.9)),
  auc = list(
    logit = qlogis(0.722), se = (0.821 - 0.6239) / 2 / qnorm(0.975) / dlogis(qlogis(0.722)),
    hanley_mcneil = hanley(0.722, 31, 69) / dlogis(qlogis(0.722))
  ),
  odds_ratio = list(log = log(0.62), se = log(0.81 / 0.47) / 2 / qnorm(0.975))
)

write_json(
  list(
    versions = list(R = R.version.string), pairs = pairs, with_df = with_df, sceptical = sceptical, deviates = deviates,
    telescopes = telescopes, normal_ncp = normal_ncp, scales = scales
  ),
  file.path(folder, "replication.json"), digits = I(17), auto_unbox = TRUE, pretty = TRUE, na = "string"
)
