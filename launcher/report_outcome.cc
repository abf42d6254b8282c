#include "launcher/report_outcome.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "launcher/decoded_arguments.h"
#include "sandbox/linux_plan.h"
#include "sandbox/machine.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {
namespace {

// How to go on where the machine refuses a namespace. What else may run out, such as memory, is no refusal. clone(2), "ERRORS".
std::string WeakerForm(std::string_view step, int error, const CompiledPolicy* plan) {
  const bool refused = error == EPERM || error == EINVAL || error == ENOSPC || error == EUSERS || error == EROFS || error == ESRCH;
  if (plan == nullptr || !refused || (step != "namespaces" && step != "user namespace" && step != "cgroup namespace")) return "";
  // With those that are accepted already: the list is there to be copied.
  LayerSet namespaces = plan->policy().namespaces;
  for (const Layer layer : plan->policy().allow_weaker) {
    if (layer <= Layer::kCgroup) namespaces.insert(layer);
  }
  std::string layers;
  for (const Layer layer : namespaces) absl::StrAppend(&layers, layers.empty() ? "" : ",", LayerName(layer));
  return absl::StrCat("; or accept the sandbox without what cannot be had, with --allow-weaker ", layers);
}

// What the caller itself lacks for a set-up.
std::string_view Lacking(std::string_view step, int error) {
  if (error == EMFILE) return "; raise the limit of open files (ulimit -n)";
  if (error == EFBIG) return "; raise the limit of the size of files (ulimit -f)";
  if (error == EAGAIN && step == "fork") return "; raise the limit of processes (ulimit -u)";
  if (error == EPERM && step == "user namespace" && !ThisMachine().can_map_own_id) {
    return "; root lacks CAP_SETFCAP, without which it may not map its own id: give it that (docker run --cap-add SETFCAP), or run as another user";
  }
  return "";
}

// Of another architecture's calls the arguments have other places.
std::vector<std::string> DecodedOf(const GuardianReport& report, const Violation& violation) {
  if (violation.arch != ArchName(NativeArch(), 0)) return {};
  std::map<unsigned, PointedTo> texts;
  const size_t count = std::min<size_t>(report.violation_text_count, std::size(report.violation_texts));
  for (size_t i = 0; i < count; ++i) {
    const ArgumentText& text = report.violation_texts[i];
    texts[text.argument] = {std::string(text.bytes, std::min<size_t>(text.length, sizeof(text.bytes))), text.cut != 0};
  }
  return DecodeArguments(violation.syscall, violation.args, texts);
}

SetupFailed SetupOf(const SetupMessage& message, const CompiledPolicy* plan) {
  // The texts come from our own code, but over a pipe that a child held: they end where the field ends.
  const auto text = [](const char* data, size_t size) { return std::string(data, strnlen(data, size)); };
  SetupFailed failed{text(message.step, sizeof(message.step)), message.error_number, text(message.detail, sizeof(message.detail))};
  absl::StrAppend(&failed.detail, Lacking(failed.step, failed.error_number));
  failed.detail += WeakerForm(failed.step, failed.error_number, plan);
  return failed;
}

// How a program that ended by itself ended. No signal is taken for a limit. SIGXCPU is none of ours: where soft and hard limit
// are one the kernel sends SIGKILL (setrlimit(2), RLIMIT_CPU), which the guardian tells from others by the time used. SIGXFSZ
// may be RLIMIT_FSIZE's, but the kernel sends that as the program itself would by kill(2), SI_USER and its own pid, so that
// nobody can tell one from the other; mm/filemap.c, generic_write_check_limits(). SIGSYS is none of ours either: the filter
// reports through its listener and never kills by itself.
void FromStatus(const GuardianReport& report, Outcome* outcome) {
  if (WIFEXITED(report.status)) {
    outcome->ending = Exited{WEXITSTATUS(report.status)};
  } else {
    outcome->ending = Signaled{WTERMSIG(report.status), WCOREDUMP(report.status) != 0};
  }
}

std::string RefusedText(const RefusedRecord& record) {
  const std::string_view kind = record.stream != 0 ? "" : "udp ";
  char address[INET6_ADDRSTRLEN] = "";
  switch (record.family) {
    case AF_INET:
      inet_ntop(AF_INET, record.address, address, sizeof(address));
      return absl::StrCat(kind, address, ":", record.port);
    case AF_INET6:
      inet_ntop(AF_INET6, record.address, address, sizeof(address));
      return absl::StrCat(kind, "[", address, "]:", record.port);
    case AF_UNIX: {
      const auto* path = reinterpret_cast<const char*>(record.address);
      return absl::StrCat("unix:", std::string_view(path, strnlen(path, sizeof(record.address))));
    }
    default:
      return absl::StrCat("address family ", record.family);
  }
}

}  // namespace

Outcome OutcomeOf(const GuardianReport& report, const CompiledPolicy* plan) {
  Outcome outcome;
  std::vector<Layer>& hit = outcome.limits_hit;

  if (report.setup_failed != 0) {
    outcome.ending = SetupOf(report.setup, plan);
  } else {
    switch (report.cause) {
      case EndCause::kNone:
        // The kernel ended a process of the tree for the limit, and that ends the tree: at once with version 2
        // (memory.oom.group), as soon as the guardian sees it with version 1, which may be after the rest has ended.
        if (report.oom_kills > 0) {
          outcome.ending = LimitHit{Layer::kMemory};
        } else if (report.has_status != 0) {
          FromStatus(report, &outcome);
        } else {
          outcome.ending = Lost{"the child's init was killed, and the child with it"};
        }
        break;
      case EndCause::kWallTime:
        outcome.ending = TimedOut{};
        hit.push_back(Layer::kWallTime);
        break;
      case EndCause::kCpuTime:
        outcome.ending = LimitHit{Layer::kCpuTime};
        break;
      case EndCause::kMemory:
        outcome.ending = LimitHit{Layer::kMemory};
        break;
      case EndCause::kOutput:
        outcome.ending = LimitHit{Layer::kOutput};
        break;
      case EndCause::kViolation: {
        Violation violation{.syscall = "unknown"};
        if (report.violation_arch == 0) {  // The guardian came too late to hear more.
          outcome.ending = violation;
          break;
        }
        violation.number = report.violation_number;
        violation.arch = ArchName(report.violation_arch, report.violation_number);
        violation.syscall = SyscallName(report.violation_arch, report.violation_number);
        std::copy(std::begin(report.violation_args), std::end(report.violation_args), violation.args.begin());
        violation.decoded = DecodedOf(report, violation);
        violation.tid = report.violation_tid;
        violation.instruction_pointer = report.violation_ip;
        outcome.ending = violation;
        break;
      }
      case EndCause::kKillRequest:
        outcome.ending = Signaled{SIGKILL, false};
        break;
      case EndCause::kOwnerGone:
        outcome.ending = Lost{"the owner was gone"};
        break;
      case EndCause::kSetupTimeout:
        outcome.ending = SetupFailed{"bootstrap", ETIMEDOUT, "the child was not ready within 30 s"};
        break;
    }
  }
  if (const auto* limit = std::get_if<LimitHit>(&outcome.ending)) hit.push_back(limit->limit);
  const auto add = [&hit](Layer layer) {
    if (std::find(hit.begin(), hit.end(), layer) == hit.end()) hit.push_back(layer);
  };
  if (report.oom_kills > 0) add(Layer::kMemory);
  if (report.process_refusals > 0 || report.processes_at_limit != 0) add(Layer::kProcesses);

  outcome.usage.wall_time = absl::Nanoseconds(static_cast<int64_t>(report.wall_ns));
  outcome.usage.cpu_time = absl::Nanoseconds(static_cast<int64_t>(report.cpu_ns));
  outcome.usage.max_rss_bytes = report.max_rss_bytes;
  outcome.usage.memory_peak_bytes = report.memory_peak_bytes;
  for (uint32_t i = 0; i < report.refused_count && i < std::size(report.refused); ++i) {
    outcome.refused.push_back({RefusedText(report.refused[i]), report.refused[i].count});
  }
  if (report.refused_others > 0) outcome.refused.push_back({"others", report.refused_others});
  for (uint32_t i = 0; i < report.notified_count && i < std::size(report.notified); ++i) {
    const NotifiedRecord& record = report.notified[i];
    // A foreign architecture's are violations.
    Notified notified{.syscall = SyscallName(NativeArch(), record.number), .number = record.number, .count = record.count};
    std::copy(std::begin(record.first_args), std::end(record.first_args), notified.first_args.begin());
    outcome.notified.push_back(std::move(notified));
  }
  outcome.stdout_result = {report.stream_bytes[0], report.stream_truncated[0] != 0, report.stream_errors[0]};
  outcome.stderr_result = {report.stream_bytes[1], report.stream_truncated[1] != 0, report.stream_errors[1]};
  if (std::holds_alternative<SetupFailed>(outcome.ending)) {
    // Nothing ran, so nothing was enforced on it; some layers may not even have been reached.
  } else if (plan != nullptr) {
    outcome.enforced = plan->enforced();
    if (plan->platform().child.drop_privileges && !plan->platform().child.drop_groups) outcome.kept_groups = SupplementaryGroups();
  } else {
    outcome.enforced[Layer::kTree] = "subreaper";
  }
  if (report.tree_survived != 0) {
    outcome.enforced[Layer::kTree] = "failed: something of the tree could not be ended within 10 s";
  }
  return outcome;
}

absl::Status SetupStatus(const SetupFailed& failure) {
  const std::string text = absl::StrCat(failure.step, ": ", failure.detail);
  if (failure.error_number == 0) return absl::FailedPreconditionError(text);
  return ErrnoStatus(failure.error_number, text);
}

}  // namespace brood
