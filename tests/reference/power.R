# Reference numbers for dtimuscle/statistics/power.py, from base R and pROC.
#
#     Rscript tests/reference/power.R tests/reference
#
# Writes power.json; needs no data.

suppressMessages({
  library(jsonlite)
  library(pROC)
})

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("usage: Rscript power.R FOLDER")

solve_for <- function(f, interval) uniroot(f, interval, tol = 1e-13, maxiter = 10000)$root

# power.t.test knows equal groups only; this is its formula (strict = TRUE) for any.
t_power <- function(d, n1, n2, alpha) {
  df <- n1 + n2 - 2
  ncp <- d * sqrt(n1 * n2 / (n1 + n2))
  critical <- qt(alpha / 2, df, lower.tail = FALSE)
  pt(critical, df, ncp, lower.tail = FALSE) + pt(-critical, df, ncp)
}
equal <- expand.grid(n = c(2, 5, 20, 64), d = c(0.2, 0.5, 1.2), alpha = c(0.05, 0.001))
equal$power <- mapply(
  function(n, d, alpha) power.t.test(n, d, sig.level = alpha, strict = TRUE)$power, equal$n, equal$d, equal$alpha
)
unequal <- expand.grid(n1 = c(3, 31, 200), n2 = c(2, 69), d = c(0.1, 0.6, 1), alpha = c(0.05, 0.05 / 28))
unequal$power <- mapply(t_power, unequal$d, unequal$n1, unequal$n2, unequal$alpha)
detectable <- expand.grid(n1 = c(31, 5), n2 = c(69, 12), power = c(0.8, 0.9), alpha = c(0.05, 0.05 / 28))
detectable$d <- mapply(
  function(n1, n2, power, alpha) solve_for(function(d) t_power(d, n1, n2, alpha) - power, c(0, 10)),
  detectable$n1, detectable$n2, detectable$power, detectable$alpha
)

# AUC against 0.5 (Obuchowski).
against_half <- expand.grid(n1 = c(31, 12), n2 = c(69, 12), auc = c(0.55, 0.722, 0.9), alpha = c(0.05, 0.05 / 28))
against_half$power <- mapply(
  function(n1, n2, auc, alpha) power.roc.test(auc = auc, ncases = n1, ncontrols = n2, sig.level = alpha)$power,
  against_half$n1, against_half$n2, against_half$auc, against_half$alpha
)
events <- expand.grid(auc = c(0.6, 0.722, 0.85), kappa = c(69 / 31, 1, 0.4), power = c(0.8, 0.9), alpha = c(0.05, 0.01))
events$events <- mapply(
  function(auc, kappa, power, alpha) {
    power.roc.test(auc = auc, kappa = kappa, power = power, sig.level = alpha)$ncases
  }, events$auc, events$kappa, events$power, events$alpha
)
# pROC looks for the AUC with uniroot's loose default; the same equation, solved to the last digits.
smallest_auc <- expand.grid(n1 = c(31, 15), n2 = c(69, 20), power = c(0.8, 0.9), alpha = c(0.05, 0.05 / 28))
smallest_auc$auc <- mapply(
  function(n1, n2, power, alpha) {
    reached <- function(auc) power.roc.test(auc = auc, ncases = n1, ncontrols = n2, sig.level = alpha)$power - power
    solve_for(reached, c(0.51, 0.9999))
  }, smallest_auc$n1, smallest_auc$n2, smallest_auc$power, smallest_auc$alpha
)
smallest_auc$auc_of_proc <- mapply(
  function(n1, n2, power, alpha) power.roc.test(ncases = n1, ncontrols = n2, power = power, sig.level = alpha)$auc,
  smallest_auc$n1, smallest_auc$n2, smallest_auc$power, smallest_auc$alpha
)

# Hanley & McNeil 1982 and 1983.
se <- function(auc, n1, n2) {
  q1 <- auc / (2 - auc)
  q2 <- 2 * auc^2 / (1 + auc)
  sqrt((auc * (1 - auc) + (n1 - 1) * (q1 - auc^2) + (n2 - 1) * (q2 - auc^2)) / (n1 * n2))
}
precision <- expand.grid(auc = c(0.55, 0.722, 0.95), n1 = c(31, 2), n2 = c(69, 7), level = c(0.95, 0.9))
precision$se <- with(precision, se(auc, n1, n2))
precision$half_width <- with(precision, qnorm((1 + level) / 2) * se)
sizes <- expand.grid(auc = c(0.6, 0.722, 0.9), half_width = c(0.05, 0.1), kappa = c(69 / 31, 1))
sizes$n1 <- mapply(function(auc, half_width, kappa) {
  n <- 2
  while (qnorm(0.975) * se(auc, n, ceiling(n * kappa - 1e-9)) > half_width) n <- n + 1
  n
}, sizes$auc, sizes$half_width, sizes$kappa)
paired <- expand.grid(lower = c(0.6, 0.7), higher = c(0.75, 0.9), r = c(0, 0.3, 0.7), n1 = 31, n2 = 69)
paired$power <- with(paired, {
  a <- se(lower, n1, n2)
  b <- se(higher, n1, n2)
  pnorm((higher - lower) / sqrt(a^2 + b^2 - 2 * r * a * b) - qnorm(0.975))
})

write_json(
  list(
    versions = list(R = R.version.string, pROC = as.character(packageVersion("pROC"))),
    equal = equal, unequal = unequal, detectable = detectable, against_half = against_half, events = events,
    smallest_auc = smallest_auc, precision = precision, sizes = sizes, paired = paired
  ),
  file.path(folder, "power.json"), digits = I(17), auto_unbox = TRUE, pretty = TRUE
)
