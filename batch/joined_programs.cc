#include "batch/joined_programs.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "batch/policy_options.h"
#include "batch/suggest.h"

namespace brood {
namespace {

constexpr struct {
  StopAll stop;
  std::string_view word;
} kStops[] = {{StopAll::kOnLimit, "limit"}, {StopAll::kOnFailure, "failure"}, {StopAll::kOnEnd, "end"}, {StopAll::kNever, "never"}};

constexpr std::string_view kStreams[] = {"stdin", "stdout", "stderr"};
constexpr uint64_t kMaxKeptBytes = uint64_t{16} << 20;  // A journal's reader takes no longer lines than 64 MiB.
constexpr int kHighestDescriptor = 4096;  // As of LaunchOptions::inherited.

std::optional<ProgramDescriptor> ParseEnd(std::string_view text, size_t programs, bool writes) {
  const size_t dot = text.find('.');
  ProgramDescriptor end;
  if (dot == std::string_view::npos || !absl::SimpleAtoi(text.substr(0, dot), &end.program) || end.program >= programs) return std::nullopt;
  const std::string_view name = text.substr(dot + 1);
  for (int fd = writes ? 1 : 0; fd <= (writes ? 2 : 0); ++fd) {
    if (name == kStreams[fd]) return end.fd = fd, end;
  }
  if (!absl::SimpleAtoi(name, &end.fd) || end.fd < 3 || end.fd > kHighestDescriptor) return std::nullopt;
  return end;
}

absl::StatusOr<ProgramDescriptor> ReadEnd(JsonObject& object, std::string_view name, const std::vector<Job>& programs, bool writes) {
  BROOD_ASSIGN_OR_RETURN(const std::optional<std::string> text, object.String(name));
  const std::string expected = absl::StrCat("expected PROGRAM.", writes ? "stdout, PROGRAM.stderr" : "stdin", " or PROGRAM.N, N from 3 on, of the programs 0 to ", programs.size() - 1);
  if (!text.has_value()) return object.Error(name, absl::StrCat("missing; ", expected));
  const std::optional<ProgramDescriptor> end = ParseEnd(*text, programs.size(), writes);
  if (!end.has_value()) return object.Error(name, absl::StrCat(expected, ", got \"", *text, "\""));
  const Job& program = programs[end->program];
  const std::string* const paths[] = {&program.stdin_path, &program.stdout_path, &program.stderr_path};
  if (end->fd <= 2 && !paths[end->fd]->empty()) return object.Error(name, absl::StrCat("program ", end->program, " has a \"", kStreams[end->fd], "\" already"));
  if (end->fd <= 2 && program.terminal.has_value()) return object.Error(name, absl::StrCat("program ", end->program, " has a terminal for its streams"));
  return *end;
}

bool Same(const ProgramDescriptor& one, const ProgramDescriptor& other) { return one.program == other.program && one.fd == other.fd; }

}  // namespace

absl::StatusOr<StopAll> ParseStop(std::string_view text) {
  for (const auto& [stop, word] : kStops) {
    if (text == word) return stop;
  }
  return absl::InvalidArgumentError(absl::StrCat("expected limit, failure, end or never, got \"", text, "\"", DidYouMean(text, {"limit", "failure", "end", "never"})));
}

std::string_view StopWord(StopAll stop) {
  for (const auto& [one, word] : kStops) {
    if (one == stop) return word;
  }
  return "limit";
}

absl::StatusOr<Terminal> ParseTerminalSize(std::string_view text) {
  Terminal terminal;
  const size_t by = text.find('x');
  uint32_t rows = 0;
  uint32_t columns = 0;
  if (by == std::string_view::npos || !absl::SimpleAtoi(text.substr(0, by), &rows) || !absl::SimpleAtoi(text.substr(by + 1), &columns) ||
      rows == 0 || columns == 0 || rows > 10'000 || columns > 10'000) {
    return absl::InvalidArgumentError(absl::StrCat("expected ROWSxCOLUMNS, as \"24x80\", got \"", text, "\""));
  }
  terminal.rows = static_cast<uint16_t>(rows);
  terminal.columns = static_cast<uint16_t>(columns);
  return terminal;
}

std::string TerminalSizeText(const Terminal& terminal) { return absl::StrCat(terminal.rows, "x", terminal.columns); }

absl::StatusOr<ProgramPipe> ReadPipe(JsonObject object, const std::vector<Job>& programs, const std::vector<ProgramPipe>& others) {
  ProgramPipe pipe;
  BROOD_ASSIGN_OR_RETURN(pipe.from, ReadEnd(object, "from", programs, true));
  BROOD_ASSIGN_OR_RETURN(pipe.to, ReadEnd(object, "to", programs, false));
  BROOD_ASSIGN_OR_RETURN(const std::optional<std::string> keep, object.Scalar("keep"));
  if (keep.has_value()) {
    const absl::StatusOr<uint64_t> bytes = ParseSize(*keep);
    if (!bytes.ok()) return object.Error("keep", bytes.status().message());
    if (*bytes > kMaxKeptBytes) return object.Error("keep", absl::StrCat("expected at most 16M, got \"", *keep, "\""));
    if (pipe.from.fd > 2) return object.Error("keep", "goes with stdout and stderr only");
    pipe.keep_bytes = *bytes;
  }
  BROOD_RETURN_IF_ERROR(object.Finish());
  for (const ProgramPipe& other : others) {
    for (const ProgramDescriptor& end : {other.from, other.to}) {
      if (Same(end, pipe.from)) return object.Error("from", "has a pipe already");
      if (Same(end, pipe.to)) return object.Error("to", "has a pipe already");
    }
  }
  if (Same(pipe.from, pipe.to)) return object.Error("to", "is the same descriptor as \"from\"");
  return pipe;
}

}  // namespace brood
