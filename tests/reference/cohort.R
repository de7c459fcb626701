# Draws cohort.csv: seeded numbers, no patients; 31 poor and 69 good, with ties and missing values.
#
#     Rscript tests/reference/cohort.R tests/reference

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("usage: Rscript cohort.R FOLDER")

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

