#include "launcher/outcome.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/signals.h"
#include "base/status.h"

namespace brood {
namespace {

constexpr int kNoExitCode = -1000;

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

int SignalOf(Layer limit) {
  switch (limit) {
    case Layer::kCpuTime:
      return kSignalCpuTime;
    case Layer::kOutput:
      return kSignalFileSize;
    default:
      return kSignalKill;
  }
}

// The first file that was to be copied out and was not; null: there is none.
const CopiedFile* CopyProblem(const Outcome& outcome) {
  const auto found = std::find_if(outcome.copied.begin(), outcome.copied.end(), [](const CopiedFile& file) { return !file.problem.empty(); });
  return found != outcome.copied.end() ? &*found : nullptr;
}

// What is missing of a child that exited with code 0; empty: nothing.
std::string Missing(const Outcome& outcome) {
  if (const CopiedFile* const missed = CopyProblem(outcome); missed != nullptr) return absl::StrCat(missed->source, " was not copied out: ", missed->problem);
  for (const auto& [name, stream] : {std::pair("standard output", &outcome.stdout_result), {"standard error", &outcome.stderr_result}}) {
    if (stream->error_number != 0) return absl::StrCat("its ", name, " could not be written: ", SystemErrorText(stream->error_number));
  }
  return "";
}

}  // namespace

bool Outcome::ok() const {
  const auto* exited = std::get_if<Exited>(&ending);
  return exited != nullptr && exited->code == 0 && Missing(*this).empty();
}

int64_t Outcome::exit_code() const {
  return std::visit(Overloaded{
                        [](const Exited& e) { return e.code; },
                        [](const Signaled& s) -> int64_t { return -s.signal; },
                        [](const TimedOut&) -> int64_t { return -kSignalKill; },
                        [](const LimitHit& l) -> int64_t { return -SignalOf(l.limit); },
                        [](const Violation&) -> int64_t { return -kSignalSystemCall; },
                        [](const SetupFailed&) -> int64_t { return kNoExitCode; },
                        [](const Lost&) -> int64_t { return kNoExitCode; },
                    },
                    ending);
}

int Outcome::ShellExitCode() const {
  constexpr int kTimeout = 124, kBroodFailed = 125, kNotExecutable = 126, kNotFound = 127;
  if (std::holds_alternative<TimedOut>(ending)) return kTimeout;
  if (std::holds_alternative<Lost>(ending)) return kBroodFailed;
  if (const auto* setup = std::get_if<SetupFailed>(&ending)) {
    if (setup->step != "exec") return kBroodFailed;
    return SystemErrorIsNotFound(setup->error_number) ? kNotFound : kNotExecutable;
  }
  const int64_t code = exit_code();
  if (code == 0 && !ok()) return kBroodFailed;
  // A Windows program's 32 bits come out as they went in.
  return static_cast<int>(code < 0 ? 128 - code : code);
}

std::string_view Outcome::StatusWord() const {
  return std::visit(Overloaded{
                        [this](const Exited&) -> std::string_view { return ok() ? "ok" : "failed"; },
                        [](const Signaled&) -> std::string_view { return "signaled"; },
                        [](const TimedOut&) -> std::string_view { return "timeout"; },
                        [](const LimitHit& l) -> std::string_view {
                          if (l.limit == Layer::kMemory) return "memory";
                          return l.limit == Layer::kCpuTime ? "cpu" : "output";
                        },
                        [](const Violation&) -> std::string_view { return "violation"; },
                        [](const SetupFailed&) -> std::string_view { return "setup_failed"; },
                        [](const Lost&) -> std::string_view { return "lost"; },
                    },
                    ending);
}

std::string Outcome::ToString() const {
  return std::visit(
      Overloaded{
          [this](const Exited& e) {
            const std::string missing = e.code == 0 ? Missing(*this) : "";
            return absl::StrCat("exited with code ", e.code, missing.empty() ? "" : ", and ", missing);
          },
          [this](const Signaled& s) {
            const bool maybe_limit = s.signal == kSignalFileSize && enforced.count(Layer::kFileSize) != 0;
            return absl::StrCat("ended by ", SignalText(s.signal), s.core_dumped ? " (core dumped)" : "",
                                maybe_limit ? " (the file_size limit, or sent by the program itself)" : "");
          },
          [this](const TimedOut&) {
            const absl::Duration shown = absl::Trunc(usage.wall_time, absl::Milliseconds(1));
            return absl::StrCat("killed: wall time limit, after ", absl::FormatDuration(shown));
          },
          [](const LimitHit& l) { return absl::StrCat("killed: ", LayerName(l.limit), " limit"); },
          [](const Violation& v) {
            const std::string call = v.decoded.empty() ? "" : absl::StrCat(": ", v.syscall, "(", absl::StrJoin(v.decoded, ", "), ")");
            return absl::StrFormat("killed: system call %s (%d, %s) is not allowed, arguments 0x%x 0x%x 0x%x 0x%x 0x%x 0x%x%s",
                                   v.syscall, v.number, v.arch, v.args[0], v.args[1], v.args[2], v.args[3], v.args[4], v.args[5], call);
          },
          [](const SetupFailed& s) {
            std::string text = absl::StrCat("not started: ", s.step, ": ", s.detail);
            if (s.error_number != 0) absl::StrAppend(&text, ": ", SystemErrorText(s.error_number));
            return text;
          },
          [](const Lost& l) { return absl::StrCat("lost: ", l.reason); },
      },
      ending);
}

}  // namespace brood
