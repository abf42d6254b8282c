#include "sandbox/plan_shares.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "sandbox/cgroup_search.h"

namespace brood {
namespace {

bool Has(const std::vector<std::string>& names, std::string_view name) { return std::find(names.begin(), names.end(), name) != names.end(); }

std::string NoController(const Machine::Cgroups& cgroups, std::string_view version2, std::string_view version1) {
  if (!cgroups.unified.empty()) {
    return absl::StrCat("the cgroup ", cgroups.unified, " has no controller \"", version2, "\"; add it to cgroup.subtree_control of the groups above it, or "
                        "start brood under systemd-run --user --scope -p Delegate=yes; see docs/cgroups.md");
  }
  if (!cgroups.why_not.empty()) return cgroups.why_not;
  return absl::StrCat("no cgroup with the controller \"", version1, "\" is writable for this user; run as root, or have root create and chown one; see docs/cgroups.md");
}

}  // namespace

SharePlan PlanCpu(const Limits& limits, const Machine::Cgroups& cgroups, CgroupRequest* request) {
  const bool version2 = !cgroups.unified.empty() && Has(cgroups.unified_available, "cpu");
  if (!version2 && cgroups.cpu.empty()) return {"", NoController(cgroups, "cpu", "cpu")};
  std::vector<std::string> what;
  if (limits.cpus_milli) what.push_back(absl::StrCat(*limits.cpus_milli, "/1000 of a CPU"));
  if (limits.cpu_weight) what.push_back(absl::StrCat("weight ", *limits.cpu_weight));
  request->cpus_milli = limits.cpus_milli;
  request->cpu_weight = limits.cpu_weight;
  return {absl::StrCat(version2 ? "cgroup v2 cpu: " : "cgroup v1 cpu: ", absl::StrJoin(what, ", ")), ""};
}

SharePlan PlanCpuSet(const CpuSet& cpus, const Machine::Cgroups& cgroups, bool filtered, CgroupRequest* request) {
  const std::string text = CpuSetText(cpus);
  if (filtered) return {absl::StrCat("affinity, which the filter keeps: CPUs ", text), ""};
  const bool version2 = !cgroups.unified.empty() && Has(cgroups.unified_available, "cpuset");
  if (version2 || !cgroups.cpuset.empty()) {
    request->cpu_set = text;
    return {absl::StrCat(version2 ? "cgroup v2 cpuset: CPUs " : "cgroup v1 cpuset: CPUs ", text), ""};
  }
  return {absl::StrCat("affinity: CPUs ", text),
          absl::StrCat("a process can widen its affinity where there is neither a filter nor a cgroup: ", NoController(cgroups, "cpuset", "cpuset"))};
}

SharePlan Join(const SharePlan& one, const SharePlan& other) {
  const auto join = [](const std::string& first, const std::string& second) {
    return absl::StrCat(first, first.empty() || second.empty() ? "" : "; ", second);
  };
  return {join(one.by_what, other.by_what), join(one.missing, other.missing)};
}

SharePlan PlanIo(const Limits& limits, const Machine::Cgroups& cgroups, CgroupRequest* request) {
  const bool version2 = !cgroups.unified.empty() && Has(cgroups.unified_available, "io");
  if (!version2 && cgroups.blkio.empty()) return {"", NoController(cgroups, "io", "blkio")};
  std::vector<std::string> what;
  std::vector<std::string> missing;
  if (limits.io_rate_bytes) {
    what.push_back(absl::StrCat(*limits.io_rate_bytes, " bytes a second to read, and to write, of each disk"));
    request->io_rate_bytes = limits.io_rate_bytes;
    // Writes through the page cache are made by the kernel's threads, for whom version 1 does not know.
    // Documentation/admin-guide/cgroup-v1/blkio-controller.rst
    if (!version2) missing.push_back("cgroup v1 holds back reads and direct writes only; boot with systemd.unified_cgroup_hierarchy=1 for version 2");
  }
  if (limits.io_weight) {
    const IoWeightFile file = FindIoWeight(cgroups);
    if (file.name.empty()) {
      missing.push_back("no weight: the kernel has neither BFQ nor io.cost for it; modprobe bfq, and echo bfq > /sys/block/DISK/queue/scheduler");
    } else {
      what.push_back(absl::StrCat("weight ", *limits.io_weight));
      request->io_weight = limits.io_weight;
    }
  }
  return {what.empty() ? "" : absl::StrCat(version2 ? "cgroup v2 io: " : "cgroup v1 blkio: ", absl::StrJoin(what, ", ")), absl::StrJoin(missing, "; ")};
}

}  // namespace brood
