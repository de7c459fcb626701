# Reference numbers for dtimuscle/statistics/correlation.py, from base R.
#
#     Rscript tests/reference/correlation.R tests/reference
#
# Reads cohort.csv and wdbc.csv, writes correlation.json.

suppressMessages(library(jsonlite))

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("usage: Rscript correlation.R FOLDER")

cohort <- read.csv(file.path(folder, "cohort.csv"), na.strings = "NA")
wdbc <- read.csv(file.path(folder, "wdbc.csv"))
features <- c("gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md")
measurements <- setdiff(names(wdbc), c("malignant", "grade"))
z <- qnorm(0.975)

# Spearman's: Fisher's z with variance 1.06 / (n - 3) (Fieller, Hartley & Pearson 1957).
fieller <- function(rho, n, variance = 1.06) tanh(atanh(rho) + c(-1, 1) * z * sqrt(variance / (n - 3)))

# Kendall's: the delta method by brute force (infinitesimal jackknife): how tau-b changes with the weight of each
# participant.
tau_of_weights <- function(x, y, w) {
  pairs <- outer(w, w)
  sx <- sign(outer(x, x, "-"))
  sy <- sign(outer(y, y, "-"))
  sum(pairs * sx * sy) / sqrt(sum(pairs * sx^2) * sum(pairs * sy^2))
}
kendall_interval <- function(x, y) {
  n <- length(x)
  step <- 1e-4
  influence <- sapply(seq_len(n), function(i) {
    up <- down <- rep(1, n)
    up[i] <- 1 + step
    down[i] <- 1 - step
    n * (tau_of_weights(x, y, up) - tau_of_weights(x, y, down)) / (2 * step)
  })
  tau <- cor(x, y, method = "kendall")
  se <- sqrt(sum(influence^2) / (n * (n - 1)))
  tanh(atanh(tau) + c(-1, 1) * z * se / (1 - tau^2))
}

correlate <- function(x, y) {
  known <- complete.cases(x, y)
  x <- x[known]
  y <- y[known]
  p <- cor.test(x, y)
  s <- suppressWarnings(cor.test(x, y, method = "spearman"))
  k <- suppressWarnings(cor.test(x, y, method = "kendall"))
  list(
    n = length(x),
    Pearson = list(r = unname(p$estimate), p = p$p.value, interval = as.numeric(p$conf.int)),
    Spearman = list(r = unname(s$estimate), p = s$p.value, interval = fieller(s$estimate, length(x))),
    Kendall = list(r = unname(k$estimate), p = k$p.value, interval = kendall_interval(x, y))
  )
}

# Without ties: n from 6 to 97, so that each way to P comes up (exact, Edgeworth's series, normal).
untied <- cohort[complete.cases(cohort[c("gracilis.fa", "gracilis.md")]), ]
sizes <- c(6, 8, 9, 10, 20, 49, 50, 97)
small <- lapply(setNames(nm = sizes), function(n) correlate(untied$gracilis.fa[1:n], untied$gracilis.md[1:n]))

# Partial: the correlation of residuals; df and interval allow for the columns of the covariates.
partial <- function(feature, terms, by_rank) {
  known <- cohort[complete.cases(cohort[c(feature, "lovett_grade", terms)]), ]
  if (by_rank) for (name in c(feature, "lovett_grade", intersect(terms, "age"))) known[[name]] <- rank(known[[name]])
  left <- function(response) resid(lm(reformulate(terms, response), known))
  r <- cor(left(feature), left("lovett_grade"))
  k <- ncol(model.matrix(reformulate(terms), known)) - 1
  df <- nrow(known) - 2 - k
  list(
    r = r, p = 2 * pt(-abs(r) * sqrt(df / (1 - r^2)), df), n = nrow(known),
    interval = fieller(r, nrow(known) - k, if (by_rank) 1.06 else 1)
  )
}
adjusted <- function(terms) {
  lapply(setNames(nm = features), function(feature) {
    list(Pearson = partial(feature, terms, FALSE), Spearman = partial(feature, terms, TRUE))
  })
}

matrices <- lapply(c(Pearson = "pearson", Spearman = "spearman", Kendall = "kendall"), function(method) {
  known <- cohort[c(features, "age")]
  unname(cor(known, method = method, use = "pairwise.complete.obs"))
})

write_json(
  list(
    versions = list(R = R.version.string),
    cohort = lapply(setNames(nm = features), function(name) correlate(cohort[[name]], cohort$lovett_grade)),
    wdbc = lapply(setNames(nm = measurements), function(name) correlate(wdbc[[name]], wdbc$grade)),
    untied = small,
    adjusted_for_age = adjusted("age"), adjusted_for_all = adjusted(c("age", "sex", "site", "smoker")),
    matrices = matrices
  ),
  file.path(folder, "correlation.json"), digits = I(17), auto_unbox = TRUE, pretty = TRUE
)
