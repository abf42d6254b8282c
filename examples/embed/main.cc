// The example of the README: runs a program in the strict sandbox and says how it ended.
#include <iostream>

#include "launcher/launcher.h"

int main() {
  brood::Policy policy = brood::BuiltinPolicy("strict").value();
  policy.limits.wall_time = absl::Seconds(5);
  const auto compiled = brood::CompilePolicy(policy);  // Once; then for any number of launches.
  if (!compiled.ok()) return std::cerr << compiled.status() << "\n", 1;
  auto process = brood::Process::Start({.argv = {"gzip", "--version"}, .policy = *compiled});
  if (!process.ok()) return std::cerr << process.status() << "\n", 1;
  const absl::StatusOr<brood::Outcome> outcome = process->Join();
  std::cout << outcome->ToString() << ", " << outcome->usage.cpu_time << " of CPU time\n";
  for (const auto& [layer, by] : outcome->enforced) std::cout << brood::LayerName(layer) << ": " << by << "\n";
  return outcome->ShellExitCode();
}
