#include "launcher/slot.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/fd_message_child.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "forkserver/slot_child.h"
#include "launcher/guardian_birth_child.h"
#include "launcher/launch_record.h"
#include "launcher/messages_child.h"
#include "launcher/report_outcome.h"
#include "launcher/slot_fitness.h"
#include "launcher/slot_init_child.h"
#include "launcher/slot_request.h"
#include "sandbox/machine.h"
#include "sandbox/spare_cgroups.h"

namespace brood::internal {
namespace {

using child::SlotCounter;
using child::SlotEntry;

absl::Status FailureOf(SetupMessage setup) {
  setup.step[sizeof(setup.step) - 1] = '\0';
  setup.detail[sizeof(setup.detail) - 1] = '\0';
  return SetupStatus({setup.step, setup.error_number, setup.detail});
}

// Where a counter of a controller of version 1 stands. Version 2 gives a child a group of its own instead: spare_cgroups.h.
struct CounterFile {
  CgroupRecord::Role role;
  SlotCounter counter;
  const char* name;
  int flags;
};
constexpr CounterFile kCounterFiles[] = {
    {CgroupRecord::Role::kMemory, SlotCounter::kMemoryPeak, "memory.max_usage_in_bytes", O_RDWR},
    {CgroupRecord::Role::kMemory, SlotCounter::kMemoryEvents, "memory.oom_control", O_RDONLY},
    {CgroupRecord::Role::kProcesses, SlotCounter::kProcessEvents, "pids.events", O_RDONLY},
    {CgroupRecord::Role::kCpu, SlotCounter::kCpu, "cpuacct.usage", O_RDONLY}};

class LaunchedSlot : public Slot {
 public:
  static absl::StatusOr<std::unique_ptr<Slot>> Make(std::string_view plan, uint32_t number) {
    auto slot = std::make_unique<LaunchedSlot>();
    BROOD_RETURN_IF_ERROR(slot->Begin(plan, number));
    return slot;
  }

  ~LaunchedSlot() override {
    spares_.RemoveAll();
    if (cgroups_.Record().count > 0) child::RemoveCgroups(cgroups_.Record(), kRemovePatienceMs);
  }

  // Its init is pid 1 of all that runs inside. pid_namespaces(7)
  void End() override {
    if (pidfd_.valid()) syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  }

  void Entered() override {
    received_.clear();
    filter_.reset();
    for (UniqueFd& counter : counters_) counter.reset();
    keepers_groups_.reset();
  }

  int used_fd() const override { return groups_.get(); }

  bool Refill() override {
    char byte;
    const ssize_t n = recv(groups_.get(), &byte, 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (n == 1) {
      spares_.RemoveOldest();
      if (SendGroup().ok()) return true;
    }
    shutdown(groups_.get(), SHUT_RDWR);  // Which the keeper sees once it has used what is on the way.
    return false;
  }

  int ready_fd() const override { return socket_.get(); }
  pid_t pid() const override { return pid_; }
  bool fresh() const override { return request_->fresh; }

  absl::StatusOr<SlotOrder> Finish(pid_t keeper) override {
    InitMessage message;
    int fds[child::kMaxPassedFds];
    int count = 0;
    if (!child::ReceiveMessage(socket_.get(), &message, fds, child::kMaxPassedFds, &count)) {
      return absl::UnavailableError("the sandbox's init was killed while it set the sandbox up");
    }
    std::vector<UniqueFd> received;
    for (int i = 0; i < count; ++i) received.emplace_back(fds[i]);
    if (message.kind != InitMessage::Kind::kStarted) return FailureOf(message.setup);
    BROOD_RETURN_IF_ERROR(WriteFilter());
    BROOD_RETURN_IF_ERROR(OpenCounters());
    const ChildPlan& plan = request_->plan.plan;
    SlotEntry entry;
    entry.id = kInsideId;
    entry.drop_groups = plan.drop_groups ? 1 : 0;
    entry.filter_length = static_cast<uint32_t>(plan.filter_length + child::kFilterPreludeLength);
    entry.read_back = plan.read_back ? 1 : 0;
    entry.speculation_off = plan.speculation_off;
    entry.allows_speculation = plan.filter_allows_speculation ? 1 : 0;
    entry.label_module = static_cast<uint32_t>(plan.label.module);
    entry.label_any_mode = plan.label.any_mode ? 1 : 0;
    child::CopyText(entry.label, sizeof(entry.label), plan.label.text);
    entry.notifies = plan.filter_notifies ? 1 : 0;
    entry.namespaces = static_cast<uint32_t>(child::SlotNamespaces(plan));
    entry.wall_ns = request_->wall_ns;
    entry.cpu_ns = request_->cpu_ns;
    entry.processors = static_cast<uint32_t>(std::max(sysconf(_SC_NPROCESSORS_ONLN), 1L));
    entry.may_reserve = FitsReserve(plan) ? 1 : 0;
    entry.may_forget = FitsForgetting(plan) ? 1 : 0;
    BROOD_RETURN_IF_ERROR(WriteBirth(&entry.birth));

    SlotOrder order;
    order.fds = {filter_.get(), socket_.get(), received.at(child::kSlotListPlace).get()};
    for (size_t i = 0; i < entry.namespaces; ++i) order.fds.push_back(received.at(child::kSlotNamespacesPlace + i).get());
    const CgroupRecord cgroups = cgroups_.Record();
    for (size_t i = 0; i < cgroups.count; ++i) {
      if (cgroups.directories[i].tasks_fd < 0) continue;
      order.fds.push_back(cgroups.directories[i].tasks_fd);
      ++entry.tasks;
    }
    entry.landlock = UsesLandlock(plan) ? 1 : 0;
    const size_t net_place = received.size() - 1 - entry.landlock;
    const size_t folders_end = received.size() - entry.landlock - (watches_net_ ? 1 : 0);
    for (size_t i = child::kSlotNamespacesPlace + entry.namespaces; i < folders_end; ++i) {
      order.fds.push_back(received[i].get());
      ++entry.folders;
    }
    for (size_t i = 0; i < child::kSlotCounters; ++i) {
      if (!counters_[i].valid()) continue;
      order.fds.push_back(counters_[i].get());
      entry.counters |= 1u << i;
    }
    if (watches_net_) order.fds.push_back(received.at(net_place).get());
    if (entry.landlock != 0) order.fds.push_back(received.back().get());
    if (BornInGroups()) {
      BROOD_RETURN_IF_ERROR(BeginGroups(keeper));
      order.fds.push_back(keepers_groups_.get());
      entry.groups = 1;
    }
    entry.fresh = request_->fresh ? 1 : 0;
    entry.watches_net = watches_net_ ? 1 : 0;
    entry.watches_ipc = watches_ipc_ ? 1 : 0;
    order.bytes.assign(reinterpret_cast<const char*>(&entry), sizeof(entry));
    received_ = std::move(received);
    return order;
  }

 private:
  static constexpr int kSpares = 2;  // The next child's is there while the last one's is replaced.
  static constexpr int kRemovePatienceMs = 100;  // A process that was reaped leaves its group a moment later.

  absl::Status Begin(std::string_view plan, uint32_t number) {
    BROOD_ASSIGN_OR_RETURN(request_, DecodeSlot(plan));
    LaunchRecord record;
    record.plan = request_->plan.plan;
    record.slot_number = number;
    // The supervisor's are the owner's, which children would read as those of their pid 1. proc(5)
    record.wipe_begin = ThisMachine().argument_begin;
    record.wipe_end = ThisMachine().argument_end;
    watches_ipc_ = record.slot_watches_ipc = AllowsIpc(record.plan);
    watches_net_ = record.slot_watches_net = record.plan.loopback;
    if (request_->cgroups.has_value()) {
      CgroupRequest cgroups = *request_->cgroups;
      cgroups.read_back = request_->cgroups->read_back = record.plan.read_back;
      // The keeper, besides the init. With version 2 neither is in the group of a child, which has the limits.
      if (cgroups.processes.has_value()) ++*cgroups.processes;
      if (BornInGroups()) cgroups.memory_bytes = cgroups.processes = std::nullopt;
      BROOD_ASSIGN_OR_RETURN(cgroups_, Cgroups::Create(cgroups));
      record.cgroup = cgroups_.Record();
    }
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair");
    socket_.reset(pair[0]);
    record.guardian_socket = pair[0];
    record.init_socket = pair[1];  // Closed once the init has it.
    child::ResetSignalActions();   // It inherits them. sigaction(2)
    child::InitProcess init;
    SetupMessage failure;
    const bool born = child::BearInit(&record, &init, &failure);
    pid_ = init.pid;
    outside_id_ = init.outside_id;
    pidfd_.reset(init.pidfd);
    if (record.init_socket >= 0) close(record.init_socket);
    return born ? absl::OkStatus() : FailureOf(failure);
  }

  bool BornInGroups() const { return request_->cgroups.has_value() && !ThisMachine().cgroups.unified.empty(); }

  absl::Status BeginGroups(pid_t keeper) {
    BROOD_RETURN_IF_ERROR(spares_.Begin(cgroups_, *request_->cgroups, {pid_, keeper}, outside_id_));
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair");
    groups_.reset(pair[0]);
    keepers_groups_.reset(pair[1]);
    for (int i = 0; i < kSpares; ++i) BROOD_RETURN_IF_ERROR(SendGroup());
    return absl::OkStatus();
  }

  absl::Status SendGroup() {
    BROOD_ASSIGN_OR_RETURN(const SpareCgroups::Files files, spares_.Make());
    child::SlotGroup group;
    int fds[child::SlotGroup::kMaxFds] = {files.directory.get()};
    int count = 1;
    const UniqueFd* const counters[] = {&files.memory_peak, &files.memory_events, &files.process_events, &files.cpu};
    static_assert(std::size(counters) == child::kSlotCounters);
    for (size_t i = 0; i < child::kSlotCounters; ++i) {
      if (!counters[i]->valid()) continue;
      group.counters |= 1u << i;
      fds[count++] = counters[i]->get();
    }
    const iovec part = {&group, sizeof(group)};
    if (child::SendWithFds(groups_.get(), &part, 1, fds, count, MSG_DONTWAIT) >= 0) return absl::OkStatus();
    return ErrnoStatus(errno, "cgroup: send one to the keeper");
  }

  absl::Status WriteFilter() {
    const ChildPlan& plan = request_->plan.plan;
    std::vector<sock_filter> filter(child::kFilterPreludeLength);
    child::WriteFilterPrelude(BornInGroups() ? child::SecretCalls::kMessagesAndClone3 : child::SecretCalls::kMessages, filter.data());
    filter.insert(filter.end(), plan.filter, plan.filter + plan.filter_length);
    filter_.reset(memfd_create("brood-filter", MFD_CLOEXEC));
    const size_t size = filter.size() * sizeof(sock_filter);
    if (!filter_.valid() || write(filter_.get(), filter.data(), size) != static_cast<ssize_t>(size)) {
      return ErrnoStatus(errno, "memfd", "for the filter");
    }
    return absl::OkStatus();
  }

  absl::Status OpenCounters() {
    const CgroupRecord cgroups = cgroups_.Record();
    for (size_t i = 0; i < cgroups.count; ++i) {
      for (const CounterFile& file : kCounterFiles) {
        if (file.role != cgroups.directories[i].role) continue;
        const int fd = openat(cgroups.directories[i].fd, file.name, file.flags | O_CLOEXEC);
        if (fd < 0) return ErrnoStatus(errno, "open", file.name, "of the sandbox's cgroup");
        counters_[static_cast<size_t>(file.counter)].reset(fd);
      }
    }
    return absl::OkStatus();
  }

  absl::Status WriteBirth(child::SlotBirth* birth) const {
    const ChildPlan& plan = request_->plan.plan;
    for (size_t i = 0; i < plan.rlimit_count; ++i) {
      RlimitStep limit = plan.rlimits[i];
      birth->rlimits[birth->rlimit_count++] = limit;
    }
    if (!request_->environment.has_value()) return absl::OkStatus();
    birth->own_environment = 1;
    for (const std::string& entry : *request_->environment) {
      if (birth->environment_size + entry.size() + 1 > child::SlotBirth::kMaxEnvironment) {
        return absl::ResourceExhaustedError("the environment of the policy is too large for a sandbox that is kept");
      }
      memcpy(birth->environment + birth->environment_size, entry.c_str(), entry.size() + 1);
      birth->environment_size += static_cast<uint32_t>(entry.size() + 1);
    }
    return absl::OkStatus();
  }

  std::unique_ptr<SlotRequest> request_;
  bool watches_ipc_ = false;
  bool watches_net_ = false;
  Cgroups cgroups_;
  SpareCgroups spares_;
  UniqueFd groups_;          // Version 2: over which each child's goes to the keeper.
  UniqueFd keepers_groups_;  // Its end.
  UniqueFd socket_;
  UniqueFd pidfd_;
  UniqueFd filter_;
  UniqueFd counters_[child::kSlotCounters];
  std::vector<UniqueFd> received_;
  pid_t pid_ = -1;
  uid_t outside_id_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Slot>> MakeSlot(std::string_view plan, uint32_t number) { return LaunchedSlot::Make(plan, number); }

}  // namespace brood::internal
