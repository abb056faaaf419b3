# Reference values for tests/statistics: run once with
#   Rscript survival.R > values.json
# in this folder (Debian packages r-base-core, r-cran-survival). The versions stand in the output.
library(survival)
num <- function(x) paste0("[", paste(ifelse(is.finite(x), formatC(x, digits = 15, format = "g"), "null"), collapse = ","), "]")
d <- read.csv("guests.csv", colClasses = c(to = "character"))
states <- c("outside", "inside", "dead")
d$event <- factor(ifelse(d$to == "", "censor", d$to), c("censor", states))
d$inside <- as.numeric(d$state == "inside")
d$death <- as.numeric(d$to == "dead")
out <- list()
say <- function(name, x) out[[name]] <<- num(x)

# multi-state occupancy with delayed entry and ties
fit <- survfit(Surv(start, stop, event) ~ 1, data = d, id = guest, istate = factor(state, states))
say("occupancy_time", fit$time)
for (k in seq_along(fit$states)) {
  say(paste0("occupancy_", fit$states[k]), fit$pstate[, k])
  say(paste0("occupancy_se_", fit$states[k]), fit$std.err[, k])
}
# first entry with death competing: rows up to the first transition of guests first seen outside
first <- d[!duplicated(d$guest), ]
first <- first[first$state == "outside", ]
first$what <- factor(ifelse(first$to == "", "censor", first$to), c("censor", "inside", "dead"))
fit <- survfit(Surv(start, stop, what) ~ 1, data = first, id = guest)
say("incidence_time", fit$time)
say("incidence_risk", fit$n.risk[, 1])
say("incidence_entry", fit$pstate[, which(fit$states == "inside")])
say("incidence_death", fit$pstate[, which(fit$states == "dead")])
say("incidence_se_entry", fit$std.err[, which(fit$states == "inside")])

# death inside against outside
for (ties in c("efron", "breslow")) {
  fit <- coxph(Surv(start, stop, death) ~ inside + strata(donor), data = d, ties = ties)
  say(paste0("cox_", ties), c(coef(fit), sqrt(vcov(fit)), fit$loglik))
  fit <- coxph(Surv(start, stop, death) ~ inside, data = d, ties = ties)
  say(paste0("cox_pooled_", ties), c(coef(fit), sqrt(vcov(fit)), fit$loglik))
}
# two covariates
d$late <- as.numeric(d$start >= 4)
fit <- coxph(Surv(start, stop, death) ~ inside + late + strata(donor), data = d, ties = "efron")
say("cox_two", c(coef(fit), sqrt(diag(vcov(fit)))))

# Firth's penalised partial likelihood (Heinze & Schemper 2001) maximised from coxph's own likelihood and information
penalised <- function(b, data, ties) {
  fit <- suppressWarnings(coxph(Surv(start, stop, death) ~ inside + strata(donor), data = data, ties = ties, init = b,
                                control = coxph.control(iter.max = 0)))
  fit$loglik[2] - 0.5 * log(fit$var[1, 1])
}
for (case in c("some", "none")) {
  data <- d
  if (case == "none") data$death[data$inside == 1] <- 0
  best <- optimize(penalised, c(-8, 4), data = data, ties = "breslow", maximum = TRUE, tol = 1e-10)
  say(paste0("firth_", case), c(best$maximum, best$objective))
  target <- best$objective - qchisq(0.95, 1) / 2
  f <- function(b) penalised(b, data, "breslow") - target
  say(paste0("firth_limits_", case), c(uniroot(f, c(-12, best$maximum), tol = 1e-9)$root,
                                       uniroot(f, c(best$maximum, 6), tol = 1e-9)$root))
}

# Poisson and binomial exact intervals, Bonferroni
say("poisson_7_of_12.5", as.numeric(poisson.test(7, 12.5)$conf.int))
say("poisson_0_of_12.5", as.numeric(poisson.test(0, 12.5)$conf.int))
say("binomial_3_of_17", as.numeric(binom.test(3, 17)$conf.int))
say("bonferroni", p.adjust(c(0.01, 0.04, 0.03, 0.2), "bonferroni"))
say("poisson_ratio", {x <- poisson.test(c(3, 20), c(100, 90)); c(x$estimate, x$conf.int, x$p.value)})

version <- sprintf('"R": "%s", "survival": "%s"', paste(R.version$major, R.version$minor, sep = "."),
                   packageVersion("survival"))
body <- paste(sprintf('"%s": %s', names(out), unlist(out)), collapse = ",\n")
cat("{\n", version, ",\n", body, "\n}\n", sep = "")
