# Reference numbers for the comparison of groups and the table of characteristics, from base R and pROC.
#
#     Rscript tests/reference/groups.R tests/reference
#
# Reads cohort.csv and wdbc.csv and writes groups.json, which also holds the small samples that are drawn here.

suppressMessages({
  library(jsonlite)
  library(pROC)
})

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("usage: Rscript groups.R FOLDER")

cohort <- read.csv(file.path(folder, "cohort.csv"), na.strings = "NA")
cohort$poor <- as.integer(cohort$lovett_grade < 4)
wdbc <- read.csv(file.path(folder, "wdbc.csv"))

# ---- one feature --------------------------------------------------------------------------------
hedges <- function(t, n) {
  df <- sum(n) - 2
  step <- sqrt(sum(1 / n))
  reach <- t + c(-10, 10) * sqrt(1 + t^2 / (2 * df))
  noncentrality <- function(share) uniroot(function(ncp) pt(t, df, ncp) - share, reach, tol = 1e-12)$root
  correction <- exp(lgamma(df / 2) - lgamma((df - 1) / 2)) / sqrt(df / 2)
  c(correction * t, noncentrality(0.975), noncentrality(0.025)) * step
}
# Levene's test about the median, as car::leveneTest has it.
brown_forsythe <- function(poor, good) {
  group <- factor(rep(1:2, c(length(poor), length(good))))
  distance <- c(abs(poor - median(poor)), abs(good - median(good)))
  table <- anova(lm(distance ~ group))
  c(table$`F value`[1], table$`Pr(>F)`[1])
}
compare <- function(values, is_poor) {
  poor <- values[which(is_poor == 1 & !is.na(values))]
  good <- values[which(is_poor == 0 & !is.na(values))]
  student <- t.test(poor, good, var.equal = TRUE)
  welch <- t.test(poor, good)
  ranks <- suppressWarnings(wilcox.test(poor, good))
  normality <- lapply(list(poor, good), shapiro.test)
  curve <- roc(cases = poor, controls = good, direction = ">", quiet = TRUE)
  list(
    n = c(length(poor), length(good)), mean = c(mean(poor), mean(good)), sd = c(sd(poor), sd(good)),
    quartiles_poor = unname(quantile(poor, c(0.25, 0.5, 0.75))),
    quartiles_good = unname(quantile(good, c(0.25, 0.5, 0.75))),
    student = c(student$statistic, student$parameter, student$p.value, student$conf.int),
    welch = c(welch$statistic, welch$parameter, welch$p.value, welch$conf.int),
    mann_whitney = c(ranks$statistic, ranks$p.value), is_exact = grepl("exact", ranks$method),
    shapiro_w = sapply(normality, function(s) unname(s$statistic)),
    shapiro_p = sapply(normality, function(s) s$p.value),
    brown_forsythe = brown_forsythe(poor, good),
    hedges_g = hedges(unname(student$statistic), c(length(poor), length(good))),
    auc = as.numeric(ci.auc(curve, method = "delong"))
  )
}
unnamed <- function(found) rapply(found, unname, how = "replace")
several <- function(data, columns, is_poor) {
  found <- lapply(setNames(nm = columns), function(column) unnamed(compare(data[[column]], is_poor)))
  p <- sapply(found, function(item) item$student[3])
  list(features = found, holm = unname(p.adjust(p, "holm")), bh = unname(p.adjust(p, "BH")))
}
muscles <- c("gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md")
measurements <- setdiff(names(wdbc), c("malignant", "grade"))

# ---- small samples, on which the Mann-Whitney test is exact, and the same with ties -----------------
set.seed(31069)
small <- lapply(2:12, function(n) {
  poor <- signif(rexp(n), 6)
  good <- signif(rnorm(15 - n, 1), 6)
  p <- function(a, b) suppressWarnings(wilcox.test(a, b))$p.value
  normality <- function(x) unlist(shapiro.test(x)[c("statistic", "p.value")], use.names = FALSE)
  list(
    poor = poor, good = good, exact = p(poor, good), tied = p(round(poor), round(good)),
    hedges_g = hedges(unname(t.test(poor, good, var.equal = TRUE)$statistic), c(n, 15 - n)),
    shapiro = if (n < 3) numeric(0) else normality(poor)
  )
})

# ---- P values to adjust -------------------------------------------------------------------------
p <- c(0.01, 0.04, 0.03, 0.005, 0.55, 0.04, 0.999, 0.0001, 0.02)
adjusted <- list(p = p, holm = p.adjust(p, "holm"), bh = p.adjust(p, "BH"))

# ---- characteristics ----------------------------------------------------------------------------
# Austin 2009 for means, Yang & Dalton 2012 for shares.
distance_of_means <- function(x, group) {
  m <- tapply(x, group, mean, na.rm = TRUE)
  v <- tapply(x, group, var, na.rm = TRUE)
  unname((m["1"] - m["0"]) / sqrt(mean(v)))
}
distance_of_shares <- function(x, group) {
  shares <- prop.table(table(group, x), 1)
  t1 <- shares["1", -1]
  t0 <- shares["0", -1]
  s <- (diag(t1, length(t1)) - outer(t1, t1) + diag(t0, length(t0)) - outer(t0, t0)) / 2
  sqrt(drop((t1 - t0) %*% solve(s) %*% (t1 - t0)))
}
counts <- function(column) table(cohort$poor, cohort[[column]])
rare <- list(
  list(counts = rbind(c(3, 9, 2, 1), c(20, 8, 1, 6))),
  list(counts = rbind(c(0, 4, 7), c(5, 6, 2))),
  list(counts = rbind(c(2, 2), c(9, 1)))
)
rare <- lapply(rare, function(item) c(item, list(p = fisher.test(item$counts)$p.value)))
characteristics <- list(
  p = list(
    age = t.test(age ~ factor(poor, levels = 1:0), data = cohort, var.equal = TRUE)$p.value,
    sex = chisq.test(counts("sex"), correct = FALSE)$p.value,
    site = chisq.test(counts("site"), correct = FALSE)$p.value,
    smoker = fisher.test(counts("smoker"))$p.value
  ),
  distance = list(
    age = distance_of_means(cohort$age, cohort$poor), sex = distance_of_shares(cohort$sex, cohort$poor),
    site = distance_of_shares(cohort$site, cohort$poor), smoker = distance_of_shares(cohort$smoker, cohort$poor)
  ),
  age_normality = with(cohort, unname(sapply(split(age, poor), function(x) shapiro.test(x)$p.value))),
  rare = rare
)

write_json(
  list(
    versions = list(R = R.version.string, pROC = as.character(packageVersion("pROC"))),
    cohort = several(cohort, muscles, cohort$poor), wdbc = several(wdbc, measurements, wdbc$malignant),
    small = small, adjusted = adjusted, characteristics = characteristics
  ),
  file.path(folder, "groups.json"), digits = I(17), auto_unbox = TRUE, pretty = TRUE
)
