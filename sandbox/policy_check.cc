#include "sandbox/policy_check.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "sandbox/plan_limits.h"

namespace brood {
namespace {

bool Has(const Policy& policy, Layer layer) { return policy.namespaces.count(layer) != 0; }

absl::Status CheckProc(const Policy& policy) {
  if (policy.proc != ProcAccess::kReadWrite) return absl::OkStatus();
  if (!policy.minimal_system) return absl::InvalidArgumentError("proc: of an own /proc, which minimal_system brings; without it there is the machine's");
  // Nothing else keeps a process from taking them back. proc(5), /proc/pid/oom_score_adj, /proc/pid/mem
  if (policy.process.oom_score_adj) return absl::InvalidArgumentError("process: oom_score_adj: a process takes it back by a /proc that can be written; leave out one of the two");
  if (policy.process.deny_write_execute) return absl::InvalidArgumentError("process: deny_write_execute: a /proc that can be written writes to executable memory; leave out one of the two");
  return absl::OkStatus();
}

absl::Status CheckClocks(const Policy& policy) {
  const Clocks& clocks = policy.clocks;
  if (std::min(clocks.monotonic, clocks.boottime) < absl::ZeroDuration() || std::max(clocks.monotonic, clocks.boottime) > kMaxClock) {
    return absl::InvalidArgumentError("clocks: expected from 0 to 876000h, a hundred years");
  }
  if (Has(policy, Layer::kTime) || std::max(clocks.monotonic, clocks.boottime) == absl::ZeroDuration()) return absl::OkStatus();
  return absl::InvalidArgumentError("clocks: need the time namespace; add \"time\" to namespaces");
}

}  // namespace

absl::Status CheckPolicy(const Policy& policy) {
  if (!policy.files.empty() && !Has(policy, Layer::kMount)) {
    return absl::InvalidArgumentError(
        "files: a file rule needs the mount namespace, which the policy does not have; use one that extends default or "
        "strict");
  }
  if (policy.minimal_system && (!Has(policy, Layer::kMount) || !Has(policy, Layer::kPid))) {
    return absl::InvalidArgumentError("minimal_system needs the mount and pid namespaces");
  }
  BROOD_RETURN_IF_ERROR(CheckProc(policy));
  if (policy.read_back && !policy.minimal_system) {
    return absl::InvalidArgumentError("read_back: needs minimal_system, in whose /proc the kernel tells what was set up");
  }
  for (const Limits* limits : {&policy.limits, &policy.default_limits}) {
    if (limits->memory_bytes != uint64_t{0} && limits->processes != uint64_t{0}) continue;
    return absl::InvalidArgumentError("limits: memory and processes must be more than zero: nothing could start");
  }
  // A cgroup takes less for nothing at all, and ends the init before anything can be told of it.
  constexpr uint64_t kLeastMemory = 4096;
  if (policy.limits.memory_bytes.value_or(kLeastMemory) < kLeastMemory) {
    return absl::InvalidArgumentError("limits: memory must be at least 4K, a page: nothing could start");
  }
  for (const Limits* limits : {&policy.limits, &policy.default_limits}) {
    const auto fits = [](const std::optional<uint64_t>& value, uint64_t least, uint64_t most) { return !value || (*value >= least && *value <= most); };
    if (!fits(limits->cpu_weight, 1, kMaxWeight) || !fits(limits->io_weight, 1, kMaxWeight)) {
      return absl::InvalidArgumentError(absl::StrCat("limits: cpu_weight and io_weight are 1 to ", kMaxWeight));
    }
    if (!fits(limits->cpus_milli, 10, kMaxCpusMilli)) return absl::InvalidArgumentError("limits: cpus must be at least 0.01");
    for (const auto& [name, value] : limits->rlimits) {
      if (ResourceOf(name) < 0) return ParseRlimit(absl::StrCat(name, "=", value)).status();
    }
    if (limits->io_rate_bytes == uint64_t{0}) return absl::InvalidArgumentError("limits: io_rate must be more than zero");
    for (const auto& [name, time] : {std::pair("wall_time", limits->wall_time), std::pair("cpu_time", limits->cpu_time), std::pair("grace", limits->grace)}) {
      if (time && *time <= absl::ZeroDuration()) return absl::InvalidArgumentError(absl::StrCat("limits: ", name, " must be more than zero"));
    }
    if (limits->open_files == uint64_t{0}) return absl::InvalidArgumentError("limits: open_files must be more than zero: nothing could start");
  }
  if (policy.network.mode == NetworkMode::kAllow && !policy.filter_syscalls) {
    return absl::InvalidArgumentError(
        "network: a list of destinations needs the system call filter, by which the child's connections come to brood; use a "
        "policy that extends default or strict");
  }
  if (policy.network.mode != NetworkMode::kHost && !Has(policy, Layer::kNet)) {
    return absl::InvalidArgumentError("network: modes other than host need the net namespace; add \"net\" to namespaces, or set {\"mode\": \"host\"}");
  }
  if (!policy.hostname.empty()) {
    BROOD_RETURN_IF_ERROR(Annotate(CheckHostname(policy.hostname), "hostname"));
    if (!Has(policy, Layer::kUts)) return absl::InvalidArgumentError("hostname: needs the uts namespace; add \"uts\" to namespaces");
  }
  if (policy.filter_syscalls && !policy.drop_privileges) {
    return absl::InvalidArgumentError("filter_syscalls needs drop_privileges (no_new_privs). seccomp(2)");
  }
  if (policy.landlock == LandlockUse::kRequired && !policy.drop_privileges) {
    return absl::InvalidArgumentError("landlock: needs drop_privileges (no_new_privs). landlock(7)");
  }
  for (const Layer layer : policy.namespaces) {
    if (layer > Layer::kTime) {
      return absl::InvalidArgumentError(absl::StrCat("namespaces: \"", LayerName(layer), "\" is not one that can be asked for"));
    }
  }
  return CheckClocks(policy);
}

}  // namespace brood
