// What `brood demo` found, as a table for people and as JSON.
#ifndef BROOD_CLI_DEMO_REPORT_H_
#define BROOD_CLI_DEMO_REPORT_H_

#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "batch/job_runner.h"
#include "cli/demo_jobs.h"

namespace brood {

struct HonestVerdict {
  std::string id;
  std::string difference;  // Empty: the same stdout, stderr and exit code.
  int64_t exit_code = 0;       // Without a sandbox. Outcome::exit_code().
  uint64_t bytes = 0;      // Compared.
};

struct HostileVerdict {
  std::string what;
  std::string status;  // Outcome::StatusWord().
  std::string stopped_by;
  std::string problem;  // Empty: stopped, with the right outcome, and no harm was done.
  std::string result;   // The job's result, as JSON.
};

struct DemoReport {
  std::vector<HonestKind> kinds;
  std::vector<std::string> notes;
  std::vector<HonestVerdict> honest;
  std::vector<HostileVerdict> hostile;
  std::vector<std::pair<std::string, std::string>> enforced;  // Layer, by what; of an honest job.
  int parallel = 1;
  absl::Duration sandboxed_time;  // All jobs, hostile ones included.
  absl::Duration plain_time;      // The honest ones without a sandbox.

  size_t different() const;
  size_t not_stopped() const;
  bool passed() const { return !honest.empty() && !hostile.empty() && different() == 0 && not_stopped() == 0; }
};

// "" if both ends are the same to whoever reads the output, else the first difference.
std::string Difference(const JobEnd& sandboxed, const JobEnd& plain);

enum class Colour { kOff, kOn };
void PrintReport(const DemoReport& report, Colour colour, FILE* out);

absl::Status WriteReportJson(const DemoReport& report, const std::string& path);

}  // namespace brood

#endif  // BROOD_CLI_DEMO_REPORT_H_
