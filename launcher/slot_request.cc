#include "launcher/slot_request.h"

#include <linux/mount.h>

#include <algorithm>
#include <mutex>

#include "base/per_process.h"
#include "base/status.h"
#include "launcher/environment.h"
#include "launcher/slot_fitness.h"
#include "sandbox/linux_plan.h"
#include "serialization/slot_generated.h"
#include "serialization/verify.h"

namespace brood::internal {

absl::StatusOr<std::string> EncodeSlot(const CompiledPolicy& policy, Isolation isolation) {
  BROOD_RETURN_IF_ERROR(FitsSlot(policy));
  flatbuffers::FlatBufferBuilder builder(16384);
  ChildPlan child = policy.platform().child;
  // A look at what a folder holds is not to be seen by the next child.
  std::vector<MountStep> mounts(child.mounts, child.mounts + child.mount_count);
  for (MountStep& step : mounts) {
    if (step.kind == MountStep::Kind::kTmpfs) step.attributes |= MOUNT_ATTR_NOATIME;
  }
  child.mounts = mounts.data();
  const auto plan = WritePlan(builder, child);
  flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>> environment;
  if (policy.policy().environment != EnvironmentBase::kInherit) {
    BROOD_ASSIGN_OR_RETURN(const std::vector<std::string> entries, MakeEnvironment(policy.policy().environment, {}));
    environment = builder.CreateVectorOfStrings(entries);
  }
  fbs::SlotBuilder slot(builder);
  slot.add_plan(plan);
  const auto nanoseconds = [](const std::optional<absl::Duration>& limit) {
    return limit.has_value() ? static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Nanoseconds(*limit), 1)) : 0;
  };
  slot.add_wall_ns(nanoseconds(policy.limits().wall_time));
  slot.add_cpu_ns(nanoseconds(policy.limits().cpu_time));
  if (policy.platform().needs_cgroups) {
    slot.add_memory_bytes(policy.platform().cgroups.memory_bytes.value_or(0));
    slot.add_processes(policy.platform().cgroups.processes.value_or(0));
    slot.add_count_cpu(policy.platform().cgroups.count_cpu);
    slot.add_cpus_milli(policy.platform().cgroups.cpus_milli.value_or(0));
    slot.add_cpu_weight(policy.platform().cgroups.cpu_weight.value_or(0));
    slot.add_io_weight(policy.platform().cgroups.io_weight.value_or(0));
    slot.add_io_rate_bytes(policy.platform().cgroups.io_rate_bytes.value_or(0));
  }
  if (!environment.IsNull()) slot.add_environment(environment);
  slot.add_fresh(isolation == Isolation::kFresh);
  fbs::FinishSlotBuffer(builder, slot.Finish());
  return std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
}

std::shared_ptr<const std::string> SlotOf(const std::shared_ptr<const CompiledPolicy>& policy, SlotUse use, Isolation isolation) {
  struct Kept {
    std::weak_ptr<const CompiledPolicy> policy;
    Isolation isolation;
    std::shared_ptr<const std::string> slot;
    bool for_programs;

    std::shared_ptr<const std::string> For(SlotUse use) const {
      return use == SlotUse::kFunctions || for_programs ? slot : nullptr;
    }
  };
  struct Cache {
    std::mutex mutex;
    std::vector<Kept> kept;
  };
  // Of this process: a fork may have been made while the lock was held.
  static PerProcess<Cache> caches;
  Cache& cache = caches.Get();
  const std::lock_guard<std::mutex> lock(cache.mutex);
  std::erase_if(cache.kept, [](const Kept& kept) { return kept.policy.expired(); });
  for (const Kept& kept : cache.kept) {
    if (kept.isolation == isolation && kept.policy.lock() == policy) return kept.For(use);
  }
  absl::StatusOr<std::string> bytes = EncodeSlot(*policy, isolation);
  cache.kept.push_back({.policy = policy,
                        .isolation = isolation,
                        .slot = bytes.ok() ? std::make_shared<const std::string>(*std::move(bytes)) : nullptr,
                        .for_programs = bytes.ok() && FitsPrograms(*policy).ok()});
  return cache.kept.back().For(use);
}

absl::StatusOr<std::unique_ptr<SlotRequest>> DecodeSlot(std::string_view bytes) {
  auto request = std::make_unique<SlotRequest>();
  request->bytes = bytes;
  BROOD_ASSIGN_OR_RETURN(const auto* const from, Verified<fbs::Slot>(request->bytes, fbs::SlotIdentifier(), "slot"));
  BROOD_RETURN_IF_ERROR(ReadPlan(*from->plan(), request->plan));
  request->wall_ns = from->wall_ns();
  request->cpu_ns = from->cpu_ns();
  request->fresh = from->fresh();
  CgroupRequest cgroups;
  const auto read = [](uint64_t value, std::optional<uint64_t>* to) {
    if (value > 0) *to = value;
  };
  read(from->memory_bytes(), &cgroups.memory_bytes);
  read(from->processes(), &cgroups.processes);
  cgroups.count_cpu = from->count_cpu();
  read(from->cpus_milli(), &cgroups.cpus_milli);
  read(from->cpu_weight(), &cgroups.cpu_weight);
  read(from->io_weight(), &cgroups.io_weight);
  read(from->io_rate_bytes(), &cgroups.io_rate_bytes);
  if (NeedsCgroups(cgroups)) request->cgroups = cgroups;
  if (from->environment() != nullptr) {
    std::vector<std::string>& environment = request->environment.emplace();
    for (const flatbuffers::String* entry : *from->environment()) environment.push_back(entry->str());
  }
  return request;
}

}  // namespace brood::internal
