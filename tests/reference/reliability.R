# Reference numbers for dtimuscle/statistics/reliability.py and bland_altman.py, from base R.
#
#     Rscript tests/reference/reliability.R tests/reference
#
# Writes reliability.json: the data and what R says of them. Mean squares come from aov(); coefficients and intervals
# are those of McGraw & Wong (1996, Psychol Methods 1:30).

suppressMessages(library(jsonlite))

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("usage: Rscript reliability.R FOLDER")

# ---- data ---------------------------------------------------------------------------------------
# Shrout & Fleiss 1979 (Psychol Bull 86:420), table 2: six targets, four judges.
shrout_fleiss <- rbind(c(9, 2, 5, 8), c(6, 1, 3, 2), c(8, 4, 6, 8), c(7, 1, 2, 6), c(10, 5, 6, 9), c(6, 2, 4, 7))

# Bland & Altman 1986 (Lancet 1:307), table 1: peak expiratory flow (l/min), large and mini Wright meter, two readings.
large_1 <- c(494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427)
large_2 <- c(490, 397, 512, 401, 470, 611, 415, 431, 638, 429, 420, 633, 275, 492, 165, 372, 421)
mini_1 <- c(512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451)
mini_2 <- c(525, 415, 508, 444, 500, 625, 460, 390, 642, 432, 420, 605, 227, 467, 268, 370, 443)

# Seeded numbers of the size of MD and FA: two sessions with a shift, three sessions with missing values, and hardly any
# difference between participants (a negative ICC).
set.seed(20261122)
drawn <- function(n, k, between, within, mean, shift = 0) {
  mean + rnorm(n, sd = between) + matrix(rnorm(n * k, sd = within), n) + rep(shift * (seq_len(k) - 1), each = n)
}
md <- drawn(25, 2, 1.5e-4, 4e-5, 1.5e-3, 3e-5)
fa <- drawn(40, 3, 0.03, 0.015, 0.26)
fa[cbind(c(3, 8, 8, 21), c(1, 1, 2, 3))] <- NA
noise <- drawn(12, 2, 0, 0.02, 0.25)
few <- drawn(3, 2, 0.03, 0.01, 0.25)

# ---- statistics ---------------------------------------------------------------------------------
reliability <- function(values) {
  known <- values[complete.cases(values), ]
  n <- nrow(known)
  k <- ncol(known)
  who <- factor(rep(seq_len(n), k))
  long <- data.frame(value = as.vector(known), who = who, occasion = factor(rep(seq_len(k), each = n)))
  two_way <- summary(aov(value ~ who + occasion, long))[[1]]
  one_way <- summary(aov(value ~ who, long))[[1]]
  squares <- two_way[["Mean Sq"]]
  msr <- squares[1]
  msc <- squares[2]
  mse <- squares[3]
  agreement <- (msr - mse) / (msr + (k - 1) * mse + k / n * (msc - mse))
  consistency <- (msr - mse) / (msr + (k - 1) * mse)

  a <- k * agreement / (n * (1 - agreement))
  b <- 1 + k * agreement * (n - 1) / (n * (1 - agreement))
  v <- (a * msc + b * mse)^2 / ((a * msc)^2 / (k - 1) + (b * mse)^2 / ((n - 1) * (k - 1)))
  fl <- qf(0.975, n - 1, v)
  fu <- qf(0.975, v, n - 1)
  agreement_ci <- c(
    n * (msr - fl * mse) / (fl * (k * msc + (k * n - k - n) * mse) + n * msr),
    n * (fu * msr - mse) / (k * msc + (k * n - k - n) * mse + n * fu * msr)
  )
  df <- (n - 1) * (k - 1)
  fl <- msr / mse / qf(0.975, n - 1, df)
  fu <- msr / mse * qf(0.975, df, n - 1)
  consistency_ci <- c((fl - 1) / (fl + k - 1), (fu - 1) / (fu + k - 1))

  sd_interval <- function(square, df) sqrt(square * df / qchisq(c(0.975, 0.025), df))
  within <- one_way[["Mean Sq"]][2]
  cv <- apply(known, 1, sd) / rowMeans(known)
  list(
    n = n, n_missing = nrow(values) - n, mean = mean(known), mean_squares = c(squares, within),
    agreement = c(agreement, agreement_ci), consistency = c(consistency, consistency_ci), p = two_way[["Pr(>F)"]][1],
    within_sd = c(sqrt(within), sd_interval(within, n * (k - 1))), within_cv = sqrt(mean(cv^2)),
    sem = c(sqrt(mse), sd_interval(mse, df)), sdc = qnorm(0.975) * sqrt(2) * c(sqrt(mse), sd_interval(mse, df)),
    repeatability = qnorm(0.975) * sqrt(2) * sqrt(within)
  )
}

bland_altman <- function(first, second) {
  known <- complete.cases(first, second)
  d <- (second - first)[known]
  m <- ((second + first) / 2)[known]
  n <- length(d)
  z <- qnorm(0.975)
  # Carkeet 2015, Optom Vis Sci 92:e71.
  t <- qt(c(0.025, 0.975), n - 1, z * sqrt(n)) * sd(d) / sqrt(n)
  test <- t.test(d)
  fit <- lm(d ~ m)
  line <- coef(summary(fit))
  # Bland & Altman 1999, Stat Methods Med Res 8:135, sections 3.2 (spread) and 3.1 (logarithms).
  spread <- coef(summary(lm(abs(resid(fit)) ~ m)))
  logs <- log(second / first)[known]
  list(
    n = n, bias = c(mean(d), test$conf.int), p = test$p.value, sd = sd(d),
    lower = c(mean(d) - z * sd(d), mean(d) - rev(t)), upper = c(mean(d) + z * sd(d), mean(d) + t),
    slope = line["m", "Estimate"], slope_p = line["m", "Pr(>|t|)"],
    spread_p = spread["m", "Pr(>|t|)"], ratio = exp(mean(logs) + c(0, -z, z) * sd(logs))
  )
}

sets <- list(
  shrout_fleiss = shrout_fleiss, large_wright = cbind(large_1, large_2), mini_wright = cbind(mini_1, mini_2),
  meters = cbind(large_1, mini_1), md = md, fa = fa, noise = noise, few = few
)
write_json(
  list(
    versions = list(R = R.version.string),
    values = lapply(sets, unname), reliability = lapply(sets, reliability),
    bland_altman = lapply(sets, function(values) bland_altman(values[, 1], values[, 2]))
  ),
  file.path(folder, "reliability.json"), digits = I(17), auto_unbox = TRUE, pretty = TRUE, na = "null"
)
