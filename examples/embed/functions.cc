// The example of docs/embedding.md: functions as processes, and every way in which a call can end.
#include <iostream>
#include <stdexcept>

#include "launcher/context.h"
#include "launcher/launcher.h"

struct Page {
  std::string title;
  std::vector<double> ranks;
};
BROOD_FIELDS(Page, title, ranks);

double Mean(const Page& page) {
  if (page.ranks.empty()) throw std::invalid_argument(page.title + " has no ranks");
  double sum = 0;
  for (const double rank : page.ranks) sum += rank;
  return sum / static_cast<double>(page.ranks.size());
}
BROOD_TARGET(Mean);

void Crash() { std::abort(); }
BROOD_TARGET(Crash);

int main(int argc, char** argv) {
  brood::Bootstrap(argc, argv);  // The first line of main: in a child it does not return.

  const brood::Context context(brood::StartMethod::kSpawn);
  brood::LaunchOptions options;
  brood::Policy policy = brood::BuiltinPolicy("strict").value();
  policy.limits.wall_time = absl::Seconds(10);
  const auto compiled = brood::CompilePolicy(policy);
  if (!compiled.ok()) return std::cerr << compiled.status() << "\n", 1;
  options.policy = *compiled;

  // Waits, and gives what the function returned: 2.
  const absl::StatusOr<double> mean = context.Call(options, Mean, Page{"index", {1, 2, 3}});
  std::cout << "mean: " << mean.value_or(-1) << "\n";

  // An exception is a status, with its type and its stack as payloads.
  options.stderr_spec = brood::Stdio::Null();  // The child says the same on its stderr.
  const absl::Status thrown = context.Call(options, Mean, Page{"empty", {}}).status();
  std::cout << "thrown: " << thrown.message() << "\n";
  std::cout << "  at " << thrown.GetPayload(brood::kStackTraceUrl).value_or(absl::Cord("?")) << "\n";

  // Does not wait. How the child ended is a value.
  absl::StatusOr<brood::Process> process = context.Start(options, Crash);
  if (!process.ok()) return std::cerr << process.status() << "\n", 1;
  const absl::StatusOr<brood::Outcome> outcome = process->Join();
  std::cout << "crash: " << outcome->ToString() << ", exit code " << outcome->exit_code() << "\n";
  return 0;
}
