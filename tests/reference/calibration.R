# Reference numbers for dtimuscle/statistics/{validation,calibration,decision}.py, from base R.
#
#     Rscript tests/reference/calibration.R tests/reference
#
# Reads cohort.csv and wdbc.csv, writes calibration.json. Bootstrap samples and folds are drawn here and kept
# (rows count from 0), so that both sides refit the models in the same participants.

suppressMessages(library(jsonlite))

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("usage: Rscript calibration.R FOLDER")

# ---- data ---------------------------------------------------------------------------------------
read <- function(name, event, columns) {
  data <- read.csv(file.path(folder, name), na.strings = "NA")
  data$event <- as.integer(event(data))
  data[complete.cases(data[c("event", columns)]), c("event", columns)]
}
muscles <- c("gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md")
cohort <- read("cohort.csv", function(d) d$lovett_grade < 4, muscles)
cells <- setdiff(names(read.csv(file.path(folder, "wdbc.csv"))), c("participant_id", "id", "malignant", "grade"))
wdbc <- read("wdbc.csv", function(d) d$malignant == 1, cells)

# ---- fits ---------------------------------------------------------------------------------------
# glm stops when the deviance changes no more; started again from its own result it is exact. In resamples in
# which the groups are nearly separated it says so in a warning, which is no news here.
maximise <- function(formula, data, offset = NULL) {
  data$known <- if (is.null(offset)) 0 else offset
  model <- suppressWarnings(glm(formula, binomial, data, offset = known))
  for (again in 1:3) {
    model <- suppressWarnings(glm(formula, binomial, data, offset = known, start = coef(model)))
  }
  model
}
standardised <- function(data, columns) {
  data[columns] <- scale(data[columns])
  data
}
predictions <- function(model, data) unname(suppressWarnings(predict(model, transform(data, known = 0), type = "response")))

# ---- performance --------------------------------------------------------------------------------
auc <- function(p, y) {
  ranks <- rank(p)
  (sum(ranks[y == 1]) - sum(y) * (sum(y) + 1) / 2) / (sum(y) * sum(1 - y))
}
slope <- function(p, y) unname(coef(maximise(event ~ lp, data.frame(event = y, lp = qlogis(p))))[2])
performance <- function(p, y) c(auc = auc(p, y), slope = slope(p, y), brier = mean((p - y)^2))

# ---- calibration --------------------------------------------------------------------------------
term <- function(model, which, ideal) {
  row <- coef(summary(model))[which, ]
  z <- unname((row[1] - ideal) / row[2])
  list(
    value = unname(row[1]), se = unname(row[2]), z = z, p = 2 * pnorm(-abs(z)),
    interval = unname(row[1] + c(-1, 1) * qnorm(0.975) * row[2])
  )
}
# As in ResourceSelection::hoslem.test, with the degrees of freedom of the groups that there are.
hosmer_lemeshow <- function(p, y, g = 10) {
  breaks <- unique(quantile(p, probs = seq(0, 1, 1 / g)))
  group <- cut(p, breaks = breaks, include.lowest = TRUE)
  observed <- xtabs(cbind(1 - y, y) ~ group)
  expected <- xtabs(cbind(1 - p, p) ~ group)
  statistic <- sum((observed - expected)^2 / expected)
  df <- nlevels(group) - 2
  list(
    statistic = statistic, df = df, p = pchisq(statistic, df, lower.tail = FALSE),
    p_elsewhere = pchisq(statistic, df + 2, lower.tail = FALSE), n = as.numeric(table(group)),
    n_events = as.numeric(observed[, 2]), predicted = as.numeric(tapply(p, group, mean)),
    low = unname(breaks[-length(breaks)]), high = unname(breaks[-1]),
    wilson = lapply(levels(group), function(l) {
      as.numeric(suppressWarnings(prop.test(sum(y[group == l]), sum(group == l), correct = FALSE))$conf.int)
    })
  )
}
calibration <- function(p, y) {
  data <- data.frame(event = y, lp = qlogis(p))
  large <- maximise(event ~ 1, data, offset = data$lp)
  line <- maximise(event ~ lp, data)
  z <- sum((y - p) * (1 - 2 * p)) / sqrt(sum((1 - 2 * p)^2 * p * (1 - p)))
  curve <- lowess(p, y, f = 2 / 3, iter = 0, delta = 0)
  as_predicted <- sum(dbinom(y, 1, p, log = TRUE))
  list(
    probabilities = p, events = y, in_the_large = term(large, 1, 0), intercept = term(line, 1, 0),
    slope = term(line, 2, 1),
    recalibration_p = pchisq(2 * (as.numeric(logLik(line)) - as_predicted), 2, lower.tail = FALSE),
    observed_expected = sum(y) / sum(p), brier = mean((p - y)^2),
    brier_scaled = 1 - mean((p - y)^2) / (mean(y) * (1 - mean(y))), spiegelhalter_z = z,
    spiegelhalter_p = 2 * pnorm(-abs(z)), smooth_x = curve$x, smooth_y = pmin(pmax(curve$y, 0), 1),
    hosmer_lemeshow = hosmer_lemeshow(p, y)
  )
}

# ---- decision curve -----------------------------------------------------------------------------
net_benefit <- function(p, y, t) (sum(p >= t & y == 1) - sum(p >= t & y == 0) * t / (1 - t)) / length(y)
decision <- function(p, y) {
  thresholds <- c(0.05, 0.1, 0.2, 0.31, 0.5, 0.75, 0.8)
  list(
    thresholds = thresholds, net_benefit = sapply(thresholds, function(t) net_benefit(p, y, t)),
    treat_all = sapply(thresholds, function(t) net_benefit(rep(1, length(y)), y, t)),
    at_prevalence = net_benefit(p, y, mean(y))
  )
}

# ---- validation ---------------------------------------------------------------------------------
joint <- function(columns) function(data) maximise(reformulate(columns, "event"), standardised(data, columns))
entry <- function(columns, entry_p) {
  function(data) {
    data <- standardised(data, columns)
    p <- sapply(columns, function(x) coef(summary(maximise(reformulate(x, "event"), data)))[2, 4])
    entered <- columns[p < entry_p]
    maximise(if (length(entered)) reformulate(entered, "event") else event ~ 1, data)
  }
}
# Standardised with the mean and SD of the participants that the model was fitted to.
predict_new <- function(model, columns, fitted_to, data) {
  for (x in columns) data[[x]] <- (data[[x]] - mean(fitted_to[[x]])) / sd(fitted_to[[x]])
  predictions(model, data)
}
validation <- function(recipe, columns, data, samples, splits) {
  within <- function(rows) predict_new(recipe(data[rows, ]), columns, data[rows, ], data[rows, ])
  elsewhere <- function(rows, others) predict_new(recipe(data[rows, ]), columns, data[rows, ], data[others, ])
  everybody <- seq_len(nrow(data))
  optimism <- t(apply(samples, 1, function(rows) {
    performance(within(rows), data$event[rows]) - performance(elsewhere(rows, everybody), data$event)
  }))
  folded <- t(apply(splits, 1, function(split) {
    p <- numeric(nrow(data))
    for (fold in unique(split)) p[split == fold] <- elsewhere(which(split != fold), which(split == fold))
    p
  }))
  auc_of_repeats <- sapply(seq_len(nrow(splits)), function(r) {
    mean(sapply(unique(splits[r, ]), function(fold) {
      left_out <- splits[r, ] == fold
      auc(folded[r, left_out], data$event[left_out])
    }))
  })
  pooled <- t(apply(folded, 1, function(p) performance(p, data$event)))
  apparent <- performance(within(everybody), data$event)
  # A model without features has no slope; its samples are left out of the mean.
  mean_optimism <- colMeans(optimism, na.rm = TRUE)
  list(
    columns = columns, apparent = as.list(apparent), optimism = as.list(mean_optimism),
    corrected = as.list(apparent - mean_optimism), auc_of_repeats = auc_of_repeats,
    cross_validated = list(
      auc = mean(auc_of_repeats), slope = mean(pooled[, "slope"]), brier = mean(pooled[, "brier"])
    ),
    out_of_fold = colMeans(folded)
  )
}
draw <- function(data, n_samples, n_splits, folds) {
  n <- nrow(data)
  split <- function() {
    fold <- integer(n)
    for (y in 0:1) fold[data$event == y] <- sample(rep_len(seq_len(folds), sum(data$event == y)))
    fold
  }
  list(samples = t(replicate(n_samples, sample(n, n, replace = TRUE))), splits = t(replicate(n_splits, split())))
}
describe <- function(data, models, n_samples) {
  drawn <- draw(data, n_samples, 3, 5)
  found <- lapply(models, function(m) validation(m$recipe, m$columns, data, drawn$samples, drawn$splits))
  list(
    samples = drawn$samples - 1, splits = drawn$splits - 1, models = found,
    calibration = lapply(found, function(m) calibration(m$out_of_fold, data$event)),
    decision = lapply(found, function(m) decision(m$out_of_fold, data$event))
  )
}

set.seed(20240118)
given <- function(columns) list(recipe = joint(columns), columns = columns)
chosen <- function(columns, p) list(recipe = entry(columns, p), columns = columns)
results <- list(
  cohort = describe(
    cohort, list(fa = given(muscles[c(1, 3)]), `fa+md` = given(muscles), entry = chosen(muscles, 0.2)), 40
  ),
  wdbc = describe(wdbc, list(two = given(cells[1:2]), entry = chosen(cells[1:3], 0.05)), 40)
)

# Few distinct probabilities: quantiles fall together.
tied <- round(results$cohort$models$`fa+md`$out_of_fold, 1)
tied <- pmin(pmax(tied, 0.1), 0.8)
results$tied <- list(
  probabilities = tied, events = cohort$event, hosmer_lemeshow = hosmer_lemeshow(tied, cohort$event)
)

write_json(
  c(list(versions = list(R = R.version.string)), results), file.path(folder, "calibration.json"),
  digits = I(17), auto_unbox = TRUE, pretty = FALSE
)
