// brood policy learn: a policy from what a program does.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/signals.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "batch/files.h"
#include "batch/policy_json.h"
#include "cli/commands.h"
#include "cli/learn.h"
#include "cli/printable.h"
#include "launcher/environment.h"
#include "sandbox/learn/learned_policy.h"
#include "sandbox/learn/trace.h"
#include "sandbox/policy_flatbuffer.h"

namespace brood {
namespace {

// What a line replaces in the built-in policy that the file extends is needed as well; then nothing changes any more.
constexpr int kMaxRounds = 4;

// A file that is written whole or not at all: half of one would be a policy of its own. Opened before the program runs, so
// that nothing is learnt in vain.
class Output {
 public:
  static absl::StatusOr<Output> Open(const std::string& path) {
    Output output;
    output.path_ = path;
    struct stat status = {};
    const bool exists = stat(path.c_str(), &status) == 0;
    // A symbolic link stays one.
    if (char* resolved = exists ? realpath(path.c_str(), nullptr) : nullptr; resolved != nullptr) {
      output.path_ = resolved;
      free(resolved);
    }
    output.beside_ = absl::StrCat(output.path_, ".", getpid(), ".new");
    output.fd_ = UniqueFd(open(output.beside_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!output.fd_.valid()) return ErrnoStatus(errno, "write", path);
    if (exists) fchmod(output.fd_.get(), status.st_mode & 0777);
    return output;
  }
  Output() = default;
  Output(Output&&) = default;
  Output& operator=(Output&&) = default;
  ~Output() {
    if (fd_.valid()) unlink(beside_.c_str());
  }

  absl::Status Write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = write(fd_.get(), text.data(), text.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoStatus(errno, "write", beside_);
      text.remove_prefix(static_cast<size_t>(n));
    }
    if (rename(beside_.c_str(), path_.c_str()) != 0) return ErrnoStatus(errno, "rename", path_);
    fd_.reset();
    return absl::OkStatus();
  }

 private:
  std::string path_;
  std::string beside_;
  UniqueFd fd_;
};

std::string EndText(const TraceEnd& end) {
  if (end.timed_out) return "was ended after the wall time";
  if (end.killed) return "was ended by a second signal";
  if (WIFEXITED(end.status)) return absl::StrCat("exited with code ", WEXITSTATUS(end.status));
  return absl::StrCat("ended by ", SignalText(WTERMSIG(end.status)));
}

// At the top of the file, each such line once.
std::string AddRemarks(std::string text, const std::vector<std::string>& remarks) {
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  size_t at = 0;
  for (const std::string& line : lines) {
    if (!absl::StartsWith(line, "//")) break;
    at += line.size() + 1;
  }
  for (const std::string& remark : remarks) {
    const std::string line = absl::StrCat("// ", remark, "\n");
    if (absl::StrContains(text, line)) continue;
    text.insert(at, line);
    at += line.size();
  }
  return text;
}

absl::StatusOr<int> Run(const LearnSettings& settings) {
  std::string text = LearnedPolicy::NewFile();
  Output output;
  const std::string& path = settings.output;
  if (!path.empty()) {
    struct stat status = {};
    if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
      return absl::FailedPreconditionError(absl::StrCat("write ", path, ": not a regular file; without -o the policy is printed"));
    }
    const absl::StatusOr<std::string> earlier = ReadFile(path, kMaxPolicyBytes);
    if (earlier.ok()) {
      text = std::string(absl::StripPrefix(*earlier, "\xef\xbb\xbf"));  // The mark of UTF-8, before which no line can be added.
    } else if (!absl::IsNotFound(earlier.status())) {
      return earlier.status();
    }
    BROOD_RETURN_IF_ERROR(ParsePolicy(text, path).status());
    // A seccomp profile of Docker's has no such place.
    if (!absl::StrContains(text, "\"extends\"")) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": is a seccomp profile, to which nothing can be added; write to another file"));
    }
    BROOD_ASSIGN_OR_RETURN(output, Output::Open(path));
  }
  // As it will be inside, so that the program takes the same way.
  BROOD_ASSIGN_OR_RETURN(const std::vector<std::string> env, MakeEnvironment(EnvironmentBase::kMinimal, {}));
  const std::string& program = settings.argv[0];
  const TraceOptions options{
      .argv = settings.argv, .candidates = ProgramCandidates(program, env), .env = env, .wall_time = settings.wall_time};
  LearnedPolicy learned;
  BROOD_ASSIGN_OR_RETURN(const TraceEnd end, TraceProgram(options, [&](const TracedCall& call) { learned.Add(call); }));
  for (int round = 0; round < kMaxRounds; ++round) {
    BROOD_ASSIGN_OR_RETURN(const Policy policy, ParsePolicy(text, path.empty() ? "the policy" : path));
    BROOD_ASSIGN_OR_RETURN(const std::string next, learned.Extend(text, policy));
    if (next == text) break;
    text = next;
  }
  std::vector<std::string> remarks = {absl::StrCat("Learnt from: ", OneLine(ShellCommand(settings.argv)), ": ", EndText(end))};
  const bool failed = !WIFEXITED(end.status) || WEXITSTATUS(end.status) != 0;
  if (failed) PrintError("policy", absl::StrCat(program, " ", EndText(end), "; learnt is what it did until then"));
  for (const std::string& line : learned.LeftOut()) {
    PrintError("policy", absl::StrCat("not in the policy: ", line));
    remarks.push_back(absl::StrCat("Not in the policy: ", line));
  }
  text = AddRemarks(std::move(text), remarks);
  BROOD_RETURN_IF_ERROR(ParsePolicy(text, "the learnt policy").status());
  if (path.empty()) return PrintOut(text) ? kExitOk : kExitBroodFailed;
  BROOD_RETURN_IF_ERROR(output.Write(text));
  return kExitOk;
}

}  // namespace

int Learn(const LearnSettings& settings) {
  const absl::StatusOr<int> result = Run(settings);
  if (result.ok()) return *result;
  PrintError("policy", result.status().message());
  return kExitBroodFailed;
}

}  // namespace brood
