# Reference numbers for dtimuscle/statistics, from base R and pROC.
#
#     Rscript tests/reference/statistics.R tests/reference
#
# Writes cohort.csv (seeded draws, no patients: 31 poor and 69 good, with ties and missing values) and
# statistics.json.

suppressMessages({
  library(jsonlite)
  library(pROC)
})

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("usage: Rscript statistics.R FOLDER")

# ---- data ---------------------------------------------------------------------------------------
set.seed(20240117)
grade <- c(sample(0:3, 31, replace = TRUE), sample(4:5, 69, replace = TRUE))
n <- length(grade)
shared <- rnorm(n)
noise <- function() 0.5 * shared + sqrt(0.75) * rnorm(n)
cohort <- data.frame(
  participant_id = sprintf("sub-%03d", seq_len(n)),
  lovett_grade = grade,
  age = round(70 + 6 * rnorm(n) - 0.8 * grade, 1),
  sex = sample(c("F", "M"), n, replace = TRUE, prob = c(0.8, 0.2)),
  site = sample(c("a", "b", "c"), n, replace = TRUE),
  smoker = sample(c("no", "yes"), n, replace = TRUE, prob = c(0.95, 0.05)),
  gracilis.fa = 0.26 + 0.010 * grade + 0.030 * noise(),
  gracilis.md = 1.45e-3 + 0.04e-3 * grade + 0.15e-3 * noise(),
  adductor_longus.fa = round(0.27 + 0.008 * grade + 0.030 * noise(), 2), # two digits: many ties
  adductor_longus.md = round(1.50e-3 + 0.03e-3 * grade + 0.15e-3 * noise(), 5)
)
cohort$lovett_grade[c(40, 90)] <- NA
cohort$age[7] <- NA
cohort$gracilis.md[c(3, 50, 51)] <- NA
cohort$adductor_longus.fa[60] <- NA
path <- file.path(folder, "cohort.csv")
write.csv(format(cohort, digits = 15, trim = TRUE), path, row.names = FALSE, quote = FALSE)

# From here on the numbers as they stand in the file.
cohort <- read.csv(path, na.strings = "NA")
cohort$poor <- as.integer(cohort$lovett_grade < 4)
features <- c("gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md")

# ---- groups -------------------------------------------------------------------------------------
groups <- lapply(setNames(nm = features), function(feature) {
  poor <- na.omit(cohort[which(cohort$poor == 1), feature])
  good <- na.omit(cohort[which(cohort$poor == 0), feature])
  student <- t.test(poor, good, var.equal = TRUE)
  welch <- t.test(poor, good)
  df <- unname(student$parameter)
  pooled <- sqrt(((length(poor) - 1) * var(poor) + (length(good) - 1) * var(good)) / df)
  list(
    n = c(length(poor), length(good)), mean = c(mean(poor), mean(good)), sd = c(sd(poor), sd(good)),
    quartiles_poor = unname(quantile(poor, c(0.25, 0.5, 0.75))),
    quartiles_good = unname(quantile(good, c(0.25, 0.5, 0.75))),
    t = unname(student$statistic), df = df, p = student$p.value, interval = as.numeric(student$conf.int),
    p_welch = welch$p.value,
    hedges_g = (mean(poor) - mean(good)) / pooled * exp(lgamma(df / 2) - lgamma((df - 1) / 2)) / sqrt(df / 2)
  )
})
holm <- p.adjust(sapply(groups, function(g) g$p), "holm")

# ---- characteristics ----------------------------------------------------------------------------
counts <- function(column) table(cohort$poor, cohort[[column]])
characteristics <- list(
  age = t.test(age ~ factor(poor, levels = 1:0), data = cohort, var.equal = TRUE)$p.value,
  sex = chisq.test(counts("sex"), correct = FALSE)$p.value,
  site = chisq.test(counts("site"), correct = FALSE)$p.value,
  smoker = fisher.test(counts("smoker"))$p.value
)

# ---- correlation --------------------------------------------------------------------------------
correlation <- lapply(setNames(nm = features), function(feature) {
  found <- cor.test(cohort[[feature]], cohort$lovett_grade)
  list(
    r = unname(found$estimate), p = found$p.value, interval = as.numeric(found$conf.int),
    n = unname(found$parameter) + 2
  )
})

# ---- logistic regression ------------------------------------------------------------------------
# glm stops when the deviance changes no more, and takes standard errors from the step before; started
# again from its own result it gives both to the last digits.
maximise <- function(terms, data) {
  model <- glm(reformulate(terms, "poor"), binomial, data)
  for (again in 1:3) model <- glm(reformulate(terms, "poor"), binomial, data, start = coef(model))
  model
}
fit <- function(terms) {
  model <- maximise(terms, cohort)
  table <- coef(summary(model))
  list(
    terms = rownames(table), estimate = unname(table[, 1]), se = unname(table[, 2]),
    z = unname(table[, 3]), p = unname(table[, 4]), n = nobs(model),
    log_likelihood = as.numeric(logLik(model)), null_deviance = model$null.deviance, aic = AIC(model),
    probabilities = unname(fitted(model))
  )
}
logistic <- c(lapply(setNames(nm = features), fit), list(all = fit(features), with_age = fit(c("age", features[1:2]))))

# ---- ROC ----------------------------------------------------------------------------------------
complete <- cohort[complete.cases(cohort[c("poor", features)]), ]
curve <- function(score, direction) roc(complete$poor, score, levels = c(0, 1), direction = direction, quiet = TRUE)
describe <- function(r) {
  best <- coords(r, "best", best.method = "youden", ret = c("threshold", "sensitivity", "specificity", "ppv", "npv"))
  exact <- function(share, n) as.numeric(binom.test(round(share * n), n)$conf.int)
  list(
    auc = as.numeric(auc(r)), interval = as.numeric(ci.auc(r, method = "delong"))[c(1, 3)],
    sensitivities = rev(r$sensitivities), specificities = rev(r$specificities), best = as.list(best),
    sensitivity_interval = exact(best$sensitivity, length(r$cases)),
    specificity_interval = exact(best$specificity, length(r$controls))
  )
}
curves <- lapply(setNames(nm = features), function(feature) curve(complete[[feature]], ">"))
compare <- function(a, b) {
  test <- roc.test(a, b, method = "delong", paired = TRUE)
  list(z = unname(test$statistic), p = test$p.value, interval = as.numeric(test$conf.int))
}
of_parameter <- function(parameter) grep(paste0("\\.", parameter, "$"), features, value = TRUE)
models <- list(fa = of_parameter("fa"), md = of_parameter("md"), `fa+md` = features)
combined <- lapply(models, function(terms) curve(unname(fitted(maximise(terms, complete))), "<"))
roc_results <- list(
  n = c(sum(complete$poor), sum(complete$poor == 0)),
  curves = lapply(curves, describe),
  tests = list(
    fa = compare(curves$gracilis.fa, curves$adductor_longus.fa),
    md = compare(curves$gracilis.md, curves$adductor_longus.md)
  ),
  combined = lapply(combined, describe),
  combined_tests = list(
    `fa+md - fa` = compare(combined$`fa+md`, combined$fa), `fa+md - md` = compare(combined$`fa+md`, combined$md),
    `fa - md` = compare(combined$fa, combined$md)
  )
)

write_json(
  list(
    versions = list(R = R.version.string, pROC = as.character(packageVersion("pROC"))),
    groups = groups, holm = as.list(holm), characteristics = characteristics, correlation = correlation,
    logistic = logistic, roc = roc_results
  ),
  file.path(folder, "statistics.json"), digits = I(17), auto_unbox = TRUE, pretty = TRUE
)
