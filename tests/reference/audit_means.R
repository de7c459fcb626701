# Reference numbers for dtimuscle/replication/audit (means, spread, units), from base R.
#
#     Rscript tests/reference/audit_means.R tests/reference
#
# Writes audit_means.json; needs no data. Means, SDs and n are typed in: those of the study that the kit replicates, read in
# 10^-3 mm^2/s, and made-up ones with other n, other digits and means that may be equal.

suppressMessages(library(jsonlite))

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("usage: Rscript audit_means.R FOLDER")

solve_for <- function(f, interval) uniroot(f, interval, tol = 1e-13, maxiter = 10000)$root

printed <- data.frame(
  name = c("gracilis", "adductor magnus", "adductor longus", "small", "equal", "pair", "coarse", "log"),
  m1 = c("1.02", "1.07", "1.04", "0.31", "1.50", "2.0", "1.7", "4.0"),
  s1 = c("0.34", "0.33", "0.34", "0.04", "0.10", "0.1", "0.1", "1.5"),
  n1 = c(31, 31, 31, 7, 12, 2, 20, 9),
  m2 = c("1.74", "1.76", "1.68", "0.27", "1.50", "1.0", "1.5", "3.1"),
  s2 = c("0.41", "0.38", "0.34", "0.05", "0.12", "0.2", "0.1", "1.2"),
  n2 = c(69, 69, 69, 11, 9, 3, 40, 14)
)

half <- function(text) 0.5 * 10^-nchar(sub("^[^.]*\\.?", "", text))
ends <- function(text) as.numeric(text) + c(-1, 1) * half(text)

student <- function(m1, s1, n1, m2, s2, n2) {
  pooled <- ((n1 - 1) * s1^2 + (n2 - 1) * s2^2) / (n1 + n2 - 2)
  t <- (m1 - m2) / sqrt(pooled / n1 + pooled / n2)
  c(t = t, df = n1 + n2 - 2, p = 2 * pt(abs(t), n1 + n2 - 2, lower.tail = FALSE))
}
welch <- function(m1, s1, n1, m2, s2, n2) {
  v1 <- s1^2 / n1
  v2 <- s2^2 / n2
  t <- (m1 - m2) / sqrt(v1 + v2)
  df <- (v1 + v2)^2 / (v1^2 / (n1 - 1) + v2^2 / (n2 - 1))
  c(t = t, df = df, p = 2 * pt(abs(t), df, lower.tail = FALSE), error = sqrt(v1 + v2))
}
hedges_factor <- function(df) exp(lgamma(df / 2) - lgamma((df - 1) / 2) - log(df / 2) / 2)

# The noncentral t below a value, integrated over the SD: R's pt() loses digits for a noncentrality beyond 37.
below <- function(t, df, ncp) {
  density <- function(s) exp(dchisq(df * s^2, df, log = TRUE)) * 2 * df * s
  width <- 12 / sqrt(2 * df)
  from <- max(0, 1 - width)
  cuts <- seq(from, 1 + width + 4 / df, length.out = 21)
  sum(mapply(function(a, b) {
    integrate(function(s) pnorm(t * s - ncp) * density(s), a, b, rel.tol = 1e-12, abs.tol = 0, stop.on.error = FALSE)$value
  }, cuts[-21], cuts[-1]))
}
noncentrality <- function(t, df, share) {
  width <- 6 * sqrt(1 + t^2 / (2 * df))
  solve_for(function(ncp) below(t, df, ncp) - share, c(t - width, t + width))
}

# The range of a function over the box of all means and SDs that are printed so: its corners, then a search that starts in
# the best of them and of points inside.
range_over <- function(f, row) {
  box <- rbind(ends(row$m1), ends(row$s1), ends(row$m2), ends(row$s2))
  at <- function(x) f(x[[1]], x[[2]], row$n1, x[[3]], x[[4]], row$n2)
  grid <- as.matrix(do.call(expand.grid, lapply(1:4, function(i) seq(box[i, 1], box[i, 2], length.out = 9))))
  values <- apply(grid, 1, at)
  search <- function(sign) {
    start <- grid[which.min(sign * values), ]
    found <- optim(start, function(x) sign * at(x) / max(abs(values)), method = "L-BFGS-B", lower = box[, 1],
      upper = box[, 2], control = list(parscale = box[, 2] - box[, 1], factr = 10, pgtol = 0))
    sign * min(sign * c(values, at(found$par)))
  }
  c(search(1), search(-1))
}

effect <- function(row) {
  x <- list(as.numeric(row$m1), as.numeric(row$s1), row$n1, as.numeric(row$m2), as.numeric(row$s2), row$n2)
  s <- do.call(student, x)
  w <- do.call(welch, x)
  n <- 1 / sqrt(1 / row$n1 + 1 / row$n2)
  size <- function(...) hedges_factor(row$n1 + row$n2 - 2) * student(...)[["t"]] / n
  z <- function(m1, s1, n1, m2, s2, n2) abs(m1 - m2) / sqrt(s1^2 + s2^2)
  # The delta method with a numerical gradient in (m1, m2, s1^2, s2^2).
  of_moments <- function(v) (v[1] - v[2]) / sqrt(v[3] + v[4])
  moments <- c(x[[1]], x[[4]], x[[2]]^2, x[[5]]^2)
  step <- 1e-5 * c(1, 1, moments[3], moments[4])
  gradient <- sapply(1:4, function(i) {
    d <- replace(numeric(4), i, step[i])
    (8 * (of_moments(moments + d) - of_moments(moments - d)) - of_moments(moments + 2 * d) + of_moments(moments - 2 * d)) /
      (12 * step[i])
  })
  variances <- c(moments[3] / row$n1, moments[4] / row$n2, 2 * moments[3]^2 / (row$n1 - 1), 2 * moments[4]^2 / (row$n2 - 1))
  error <- sqrt(sum(gradient^2 * variances))
  z0 <- do.call(z, x)
  log_p <- function(test) function(...) {
    v <- test(...)
    log(2) + pt(abs(v[["t"]]), v[["df"]], lower.tail = FALSE, log.p = TRUE)
  }
  df <- s[["df"]]
  list(
    name = row$name, m1 = row$m1, s1 = row$s1, n1 = row$n1, m2 = row$m2, s2 = row$s2, n2 = row$n2,
    difference = x[[1]] - x[[4]],
    difference_interval = x[[1]] - x[[4]] + c(-1, 1) * qt(0.975, w[["df"]]) * w[["error"]],
    student = as.list(s), welch = as.list(w[c("t", "df", "p")]),
    student_t_range = range_over(function(...) student(...)[["t"]], row),
    student_p_range = exp(range_over(log_p(student), row)),
    welch_t_range = range_over(function(...) welch(...)[["t"]], row),
    welch_df_range = range_over(function(...) welch(...)[["df"]], row),
    welch_p_range = exp(range_over(log_p(welch), row)),
    g = do.call(size, x), g_range = range_over(size, row),
    g_interval = c(noncentrality(s[["t"]], df, 0.975), noncentrality(s[["t"]], df, 0.025)) / n,
    auc = pnorm(z0), auc_interval = pnorm(z0 + c(-1, 1) * qnorm(0.975) * error), z_error = error,
    auc_range = pnorm(range_over(z, row))
  )
}
effects <- lapply(seq_len(nrow(printed)), function(i) effect(printed[i, ]))

# Spread between patients, against a rate for all groups together.
spreads <- data.frame(
  m = c(printed$m1, printed$m2), s = c(printed$s1, printed$s2), n = c(printed$n1, printed$n2)
)
spreads$cv <- as.numeric(spreads$s) / as.numeric(spreads$m)
spreads$low <- mapply(function(m, s) ends(s)[1] / ends(m)[2], spreads$m, spreads$s)
spreads$high <- mapply(function(m, s) ends(s)[2] / ends(m)[1], spreads$m, spreads$s)
limit <- function(cv, n, rate) {
  t <- sqrt(n) / cv
  width <- sqrt(1 + t^2 / (2 * (n - 1)))
  sqrt(n) / solve_for(function(ncp) log(below(t, n - 1, ncp)) - log(rate), c(t, t + 8 * width))
}
spreads$rate <- 0.001 / nrow(spreads)
spreads$lower <- mapply(limit, spreads$low, spreads$n, spreads$rate)

# The largest SD of n values between 0 and 1, by trying how many of them are 1, and how many normal values leave 0 to U.
largest <- expand.grid(ones = c(1, 3, 5), n = c(6, 11))
largest$mean <- largest$ones / largest$n
largest$sd <- mapply(function(k, n) sd(rep(c(1, 0), c(k, n - k))), largest$ones, largest$n)
beyond <- data.frame(m = c("1.02", "0.5", "2.80"), s = c("0.34", "0.4", "0.30"), upper = 3.04)
beyond$share <- mapply(function(m, s, u) {
  one <- function(x) {
    spread <- ends(s)[1]
    integrate(dnorm, -Inf, 0, x, spread, rel.tol = 1e-12)$value + integrate(dnorm, u, Inf, x, spread, rel.tol = 1e-12)$value
  }
  optimize(one, ends(m), tol = 1e-12)$objective
}, beyond$m, beyond$s, beyond$upper)

# Log-normal values: the mean and SD of logarithms that give the printed ones, found by integrating.
log_moments <- function(m, s) {
  moment <- function(k, v) integrate(function(x) exp(k * (v[1] + v[2] * x)) * dnorm(x), -12, 12, rel.tol = 1e-12)$value
  apart <- function(v) {
    first <- moment(1, v)
    c(first / m - 1, (moment(2, v) - first^2) / s^2 - 1)
  }
  v <- c(log(m), s / m)
  for (i in 1:50) { # Newton's method
    f <- apart(v)
    j <- sapply(1:2, function(k) (apart(v + 1e-6 * (1:2 == k)) - apart(v - 1e-6 * (1:2 == k))) / 2e-6)
    v <- v - solve(j, f)
  }
  v
}
logs <- t(mapply(log_moments, as.numeric(printed$m1), as.numeric(printed$s1)))
logarithms <- data.frame(m = printed$m1, s = printed$s1, mean = logs[, 1], sd = logs[, 2])

write_json(
  list(
    versions = list(R = R.version.string), effects = effects, spreads = spreads, largest = largest, beyond = beyond,
    logarithms = logarithms
  ),
  file.path(folder, "audit_means.json"), digits = I(17), auto_unbox = TRUE, pretty = TRUE
)
