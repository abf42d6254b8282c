// The example of README.md: one program in a sandbox, and the truth about how it ended.
#include <iostream>

#include "launcher/process.h"

int main() {
  brood::Policy policy = brood::BuiltinPolicy("strict").value();
  policy.limits.wall_time = absl::Seconds(10);
  brood::LaunchOptions options;
  options.argv = {"sha256sum", "/usr/bin/env"};
  options.policy = brood::CompilePolicy(policy).value();
  absl::StatusOr<brood::Process> process = brood::Process::Start(options);
  if (!process.ok()) return std::cerr << process.status() << "\n", 125;
  const brood::Outcome outcome = process->Join().value();
  std::cout << outcome.ToString() << ", CPU time " << outcome.usage.cpu_time << "\n";
  return outcome.ShellExitCode();
}
