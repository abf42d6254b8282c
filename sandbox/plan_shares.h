// Shares of the machine: CPU and disks, as the cgroups of this machine divide them.
#ifndef BROOD_SANDBOX_PLAN_SHARES_H_
#define BROOD_SANDBOX_PLAN_SHARES_H_

#include <string>

#include "sandbox/cgroup.h"
#include "sandbox/machine.h"
#include "sandbox/policy.h"

namespace brood {

struct SharePlan {
  std::string by_what;  // Empty: nothing of it can be had.
  std::string missing;  // What cannot, and why; empty if all can.
};

// What of a policy's limits of CPU, and of disks, can be enforced; that is added to `request`.
SharePlan PlanCpu(const Limits& limits, const Machine::Cgroups& cgroups, CgroupRequest* request);
// Of CPUs that may be run on: affinity, where the filter keeps it, or a cgroup.
SharePlan PlanCpuSet(const CpuSet& cpus, const Machine::Cgroups& cgroups, bool filtered, CgroupRequest* request);
SharePlan PlanIo(const Limits& limits, const Machine::Cgroups& cgroups, CgroupRequest* request);

// Both, where a layer is made of two.
SharePlan Join(const SharePlan& one, const SharePlan& other);

}  // namespace brood

#endif  // BROOD_SANDBOX_PLAN_SHARES_H_
