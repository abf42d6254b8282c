// brood policy learn: a policy from what a program does.
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
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

// Whole or not at all: a file that is half written would be a policy of its own.
absl::Status Replace(const std::string& path, const std::string& text) {
  const std::string beside = absl::StrCat(path, ".", getpid(), ".new");
  std::ofstream file(beside, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(beside, path, error);
  if (file && !error) return absl::OkStatus();
  std::filesystem::remove(beside, error);
  return absl::PermissionDeniedError(absl::StrCat("write ", path, ": not possible"));
}

absl::StatusOr<int> Run(const std::vector<std::string>& argv, const std::string& output) {
  LearnedPolicy learned;
  if (!output.empty()) {
    const absl::StatusOr<std::string> earlier = ReadFile(output, kMaxPolicyBytes);
    if (earlier.ok()) {
      BROOD_ASSIGN_OR_RETURN(const Policy policy, ParsePolicy(*earlier, output));
      learned.Merge(policy, *earlier);
    } else if (!absl::IsNotFound(earlier.status())) {
      return earlier.status();
    }
  }
  // As it will be inside, so that the program takes the same way.
  BROOD_ASSIGN_OR_RETURN(const std::vector<std::string> env, MakeEnvironment(EnvironmentBase::kMinimal, {}));
  const TraceOptions options{.argv = argv, .candidates = ProgramCandidates(argv[0], env), .env = env};
  BROOD_ASSIGN_OR_RETURN(const int status, TraceProgram(options, [&](const TracedCall& call) { learned.Add(call); }));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    const std::string how = WIFEXITED(status) ? absl::StrCat("exited with code ", WEXITSTATUS(status))
                                              : absl::StrCat("ended by signal ", WTERMSIG(status));
    PrintError("policy", absl::StrCat(argv[0], " ", how, "; what was learnt is what it did until then"));
  }
  for (const std::string& line : learned.LeftOut()) PrintError("policy", absl::StrCat("not in the policy: ", line));
  const std::string text = learned.Text(ShellCommand(argv));
  BROOD_RETURN_IF_ERROR(ParsePolicy(text, "the learnt policy").status());
  if (output.empty()) return PrintOut(text) ? kExitOk : kExitBroodFailed;
  BROOD_RETURN_IF_ERROR(Replace(output, text));
  return kExitOk;
}

}  // namespace

int Learn(const std::vector<std::string>& argv, const std::string& output) {
  const absl::StatusOr<int> result = Run(argv, output);
  if (result.ok()) return *result;
  PrintError("policy", result.status().message());
  return kExitBroodFailed;
}

}  // namespace brood
