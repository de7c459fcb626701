# Reference numbers for dtimuscle/statistics/influence.py: glm() and pROC without each patient of cohort.csv in turn.
#
#     Rscript tests/reference/influence.R tests/reference
#
# Writes influence.json.

suppressMessages({
  library(jsonlite)
  library(pROC)
})

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("usage: Rscript influence.R FOLDER")

cohort <- read.csv(file.path(folder, "cohort.csv"), na.strings = "NA")
cohort$poor <- as.integer(cohort$lovett_grade < 4)
steps <- c(fa = 0.1, md = 1e-4)
z <- qnorm(0.975)

area <- function(poor, score) {
  found <- ci.auc(roc(poor, score, quiet = TRUE, direction = "<"), method = "delong")
  as.numeric(found)[c(2, 1, 3)]
}
# Odds ratio per step, its ends, Wald's P, and the standard error of the log odds ratio.
ratios <- function(fit) {
  rows <- coef(summary(fit))
  lapply(setNames(nm = rownames(rows)[-1]), function(term) {
    step <- steps[sub(".*[.]", "", term)]
    if (is.na(step)) step <- 1
    estimate <- rows[term, "Estimate"]
    se <- rows[term, "Std. Error"]
    c(exp((estimate + c(0, -1, 1) * z * se) * step), rows[term, "Pr(>|z|)"], se * step)
  })
}

# Everybody first, then all others than each patient.
leave_out <- function(names) {
  known <- cohort[complete.cases(cohort[c("poor", names)]), ]
  one <- function(data) {
    fit <- glm(reformulate(names, "poor"), binomial, data, control = glm.control(1e-13, 200))
    # Standard errors come from the weights before the last step: once more from the maximum.
    for (again in 1:2) fit <- glm(reformulate(names, "poor"), binomial, data, start = coef(fit), control = fit$control)
    score <- if (length(names) == 1) -data[[names]] else fitted(fit)
    list(auc = area(data$poor, score), odds_ratios = ratios(fit))
  }
  list(
    participant_id = known$participant_id, all = one(known),
    without = lapply(seq_len(nrow(known)), function(i) one(known[-i, ]))
  )
}
# One matrix for each quantity, a row for each patient left out.
flat <- function(found) {
  terms <- names(found$all$odds_ratios)
  list(
    participant_id = found$participant_id, all = found$all,
    auc = t(sapply(found$without, function(one) one$auc)),
    odds_ratios = lapply(setNames(nm = terms), function(term) {
      t(sapply(found$without, function(one) one$odds_ratios[[term]][1:4]))
    })
  )
}

write_json(
  list(
    versions = list(R = R.version.string, pROC = as.character(packageVersion("pROC"))),
    alone = lapply(setNames(nm = c("gracilis.md", "adductor_longus.fa")), function(name) flat(leave_out(name))),
    model = flat(leave_out(c("gracilis.md", "adductor_longus.fa", "age", "sex")))
  ),
  file.path(folder, "influence.json"), digits = I(12), auto_unbox = TRUE
)
