# Reference numbers for ROC curves, from pROC and base R, on cohort.csv and wdbc.csv.
#
#     Rscript tests/reference/roc.R tests/reference
#
# Writes roc.json.

suppressMessages({
  library(jsonlite)
  library(pROC)
})

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("usage: Rscript roc.R FOLDER")

fixed <- 0.9 # sensitivity and specificity that a cut-off must reach
specificities <- c(0.5, 0.8, 0.83, 0.9, 0.95)
measures <- c("threshold", "tp", "fn", "tn", "fp", "sensitivity", "specificity", "ppv", "npv")

# ---- one curve ----------------------------------------------------------------------------------
interval_of_share <- function(k, n) as.numeric(binom.test(k, n)$conf.int)
ratio <- function(k, n, other, other_n) {
  if (other == 0) return(list(value = NA, interval = c(NA, NA)))
  value <- (k / n) / (other / other_n)
  if (k == 0) return(list(value = 0, interval = c(NA, NA)))
  se <- sqrt(1 / k - 1 / n + 1 / other - 1 / other_n) # Simel 1991
  list(value = value, interval = exp(log(value) + c(-1, 1) * qnorm(0.975) * se))
}
cut_off <- function(row) {
  row <- as.list(row)
  cases <- row$tp + row$fn
  controls <- row$tn + row$fp
  c(row, list(
    sensitivity_interval = interval_of_share(row$tp, cases), specificity_interval = interval_of_share(row$tn, controls),
    ppv_interval = interval_of_share(row$tp, row$tp + row$fp), npv_interval = interval_of_share(row$tn, row$tn + row$fn),
    lr_positive = ratio(row$tp, cases, row$fp, controls), lr_negative = ratio(row$fn, cases, row$tn, controls)
  ))
}
cut_offs <- function(r) {
  points <- coords(r, "all", ret = measures)
  points <- points[is.finite(points$threshold), ]
  specific <- function(rows) rows[which.max(rows$specificity), ] # of equally good ones
  best <- function(method) specific(coords(r, "best", best.method = method, ret = measures))
  reached <- points[points$sensitivity >= fixed, ]
  sensitive <- reached[order(-reached$specificity, -reached$sensitivity)[1], ]
  reached <- points[points$specificity >= fixed, ]
  strict <- reached[order(-reached$sensitivity, -reached$specificity)[1], ]
  rows <- list(best("youden"), best("closest.topleft"), sensitive, strict)
  lapply(setNames(rows, c("Youden", "closest to the corner", "fixed sensitivity", "fixed specificity")), cut_off)
}
partial <- function(r, low) {
  part <- function(correct) {
    as.numeric(suppressWarnings(auc(r, partial.auc = c(1, low), partial.auc.correct = correct)))
  }
  list(value = part(FALSE), standardised = part(TRUE), min_specificity = low)
}
describe <- function(r) {
  area <- as.numeric(auc(r))
  se <- sqrt(as.numeric(var(r, method = "delong")))
  smoothed <- smooth(r, method = "binormal", n = 512)
  line <- unname(coef(smoothed$model))
  list(
    n = c(length(r$cases), length(r$controls)),
    auc = area, interval = as.numeric(ci.auc(r, method = "delong"))[c(1, 3)],
    interval_logit = plogis(qlogis(area) + c(-1, 1) * qnorm(0.975) * se / (area * (1 - area))),
    sensitivities = rev(r$sensitivities), specificities = rev(r$specificities), cut_offs = cut_offs(r),
    partial = lapply(c(0.8, 0.9, 0.5, 0.83), function(low) partial(r, low)),
    binormal = list(
      a = -line[1] / line[2], b = -1 / line[2], auc = as.numeric(auc(smoothed)),
      sensitivity = smoothed$sensitivities[c(100, 250, 400)], specificity = smoothed$specificities[c(100, 250, 400)]
    )
  )
}

# ---- two curves ---------------------------------------------------------------------------------
paired <- function(a, b) {
  test <- suppressWarnings(roc.test(a, b, method = "delong", paired = TRUE)) # it warns of different directions
  list(z = unname(test$statistic), p = test$p.value, interval = as.numeric(test$conf.int))
}
unpaired <- function(a, b) {
  test <- suppressWarnings(roc.test(a, b, method = "delong", paired = FALSE))
  list(z = unname(test$statistic), df = unname(test$parameter), p = test$p.value)
}

# ---- cohort.csv ---------------------------------------------------------------------------------
cohort <- read.csv(file.path(folder, "cohort.csv"), na.strings = "NA")
cohort$poor <- as.integer(cohort$lovett_grade < 4)
features <- c("gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md")
complete <- cohort[complete.cases(cohort[c("poor", features)]), ]
curve <- function(score, direction, poor = complete$poor) {
  roc(poor, score, levels = c(0, 1), direction = direction, quiet = TRUE)
}
curves <- lapply(setNames(nm = features), function(feature) curve(complete[[feature]], ">"))
# glm stops when the deviance changes no more; started again from its own result it gives the last digits too.
maximise <- function(terms) {
  model <- glm(reformulate(terms, "poor"), binomial, complete)
  for (again in 1:3) model <- glm(reformulate(terms, "poor"), binomial, complete, start = coef(model))
  unname(fitted(model))
}
of_parameter <- function(parameter) grep(paste0("\\.", parameter, "$"), features, value = TRUE)
models <- list(fa = of_parameter("fa"), md = of_parameter("md"), `fa+md` = features)
combined <- lapply(models, function(terms) curve(maximise(terms), "<"))
one_has_missing <- function(feature) {
  known <- !is.na(cohort$poor) & !is.na(cohort[[feature]])
  curve(cohort[[feature]][known], ">", cohort$poor[known])
}

# ---- wdbc.csv -----------------------------------------------------------------------------------
wdbc <- read.csv(file.path(folder, "wdbc.csv"))
measured <- setdiff(names(wdbc), c("malignant", "grade"))
tumours <- lapply(setNames(nm = measured), function(name) curve(wdbc[[name]], "<", wdbc$malignant))
is_odd <- seq_len(nrow(wdbc)) %% 2 == 1
half <- function(name, rows) curve(wdbc[[name]][rows], "<", wdbc$malignant[rows])

# ---- the bootstrap, within its own sampling error -----------------------------------------------
set.seed(20240117)
n_bootstrap <- 4000
pair <- curves[c("gracilis.fa", "gracilis.md")]
part <- suppressWarnings(roc(
  complete$poor, complete$gracilis.fa, levels = c(0, 1), direction = ">", quiet = TRUE, partial.auc = c(1, 0.8)
))
bootstrap <- list(
  n = n_bootstrap,
  interval = as.numeric(ci.auc(pair[[1]], method = "bootstrap", boot.n = n_bootstrap, progress = "none"))[c(1, 3)],
  partial = as.numeric(ci.auc(part, method = "bootstrap", boot.n = n_bootstrap, progress = "none"))[c(1, 3)],
  z = unname(roc.test(
    pair[[1]], pair[[2]], method = "bootstrap", paired = TRUE, boot.n = n_bootstrap, progress = "none"
  )$statistic),
  specificities = specificities,
  band = unclass(ci.se(pair[[1]], specificities, boot.n = n_bootstrap, progress = "none"))[, c(1, 3)]
)

write_json(
  list(
    versions = list(R = R.version.string, pROC = as.character(packageVersion("pROC"))),
    curves = lapply(c(curves, combined), describe),
    tests = list(
      fa = paired(curves$gracilis.fa, curves$adductor_longus.fa),
      md = paired(curves$gracilis.md, curves$adductor_longus.md)
    ),
    combined_tests = list(
      `fa+md - fa` = paired(combined$`fa+md`, combined$fa), `fa+md - md` = paired(combined$`fa+md`, combined$md),
      `fa - md` = paired(combined$fa, combined$md)
    ),
    unpaired_features = unpaired(one_has_missing("gracilis.fa"), one_has_missing("adductor_longus.md")),
    wdbc = lapply(tumours, describe),
    wdbc_test = paired(tumours$mean_texture, tumours$mean_smoothness),
    wdbc_unpaired = unpaired(half("mean_texture", is_odd), half("worst_smoothness", !is_odd)),
    bootstrap = bootstrap
  ),
  file.path(folder, "roc.json"), digits = I(17), auto_unbox = TRUE, pretty = TRUE, na = "null"
)
