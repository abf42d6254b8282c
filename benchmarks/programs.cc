// What the launch of a program costs: brood beside the bare system calls and beside another launcher.
#include "benchmarks/contests.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/runfiles.h"
#include "launcher/context.h"
#include "launcher/process.h"

namespace brood {
namespace {

absl::Status CheckStatus(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("ended with wait status ", status));
}

// glibc's posix_spawn is vfork (CLONE_VM | CLONE_VFORK) and exec.
absl::Status SpawnAndWait(const std::vector<std::string>& argv) {
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  char* const environment[] = {nullptr};
  pid_t pid = 0;
  if (const int error = posix_spawn(&pid, words[0], nullptr, nullptr, words.data(), environment); error != 0) {
    return ErrnoStatus(error, "posix_spawn", argv[0]);
  }
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) return ErrnoStatus(errno, "waitpid");
  return CheckStatus(status);
}

absl::Status LaunchAndJoin(const LaunchOptions& options) {
  BROOD_ASSIGN_OR_RETURN(Process process, Process::Launch(options));
  BROOD_ASSIGN_OR_RETURN(const Outcome outcome, process.Join());
  return outcome.ok() ? absl::OkStatus() : absl::InternalError(outcome.ToString());
}

// bubblewrap with the file system that `default` shows, and everything that it can isolate.
std::vector<std::string> Bubblewrap(const std::string& program) {
  std::vector<std::string> argv = {"/usr/bin/bwrap", "--unshare-all", "--die-with-parent", "--new-session",
                                   "--cap-drop",     "ALL",           "--clearenv"};
  for (const char* path : {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/alternatives",
                           "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"}) {
    argv.insert(argv.end(), {"--ro-bind-try", path, path});
  }
  argv.insert(argv.end(), {"--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--ro-bind", program, "/program",
                           "--chdir", "/", "/program"});
  return argv;
}

absl::StatusOr<LaunchOptions> LibraryLaunch(const std::string& policy_name, const std::string& program) {
  BROOD_ASSIGN_OR_RETURN(Policy policy, BuiltinPolicy(policy_name));
  LaunchOptions options;
  options.argv = {program};
  if (policy.namespaces.count(Layer::kMount) != 0) {
    options.argv = {"/program"};
    policy.files.push_back({.source = program, .destination = "/program"});
  }
  options.stdin_spec = Stdio::Null();
  BROOD_ASSIGN_OR_RETURN(options.policy, CompilePolicy(policy));
  return options;
}

// What else starts programs in namespaces, each with all that it can isolate by one line.
void AddOthers(Contest& contest, const std::string& program) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> all = {
      {"unshare, all", {"/usr/bin/unshare", "-U", "-r", "-m", "-u", "-i", "-n", "-p", "-f", "-C", "--mount-proc", program}},
      {"firejail --noprofile", {"/usr/bin/firejail", "--quiet", "--noprofile", "--net=none", "--caps.drop=all", "--seccomp", program}},
      {"linux-sandbox -N -H", {"/usr/libexec/x86_64-linux-gnu/bazel/linux-sandbox", "-W", "/tmp", "-N", "-H", "--", program}}};
  for (const auto& [name, argv] : all) {
    if (access(argv[0].c_str(), X_OK) != 0) {
      contest.Skip(name, absl::StrCat(argv[0], " is not installed"));
    } else {
      contest.Add(name, [argv = argv] { return SpawnAndWait(argv); });
    }
  }
}

}  // namespace

absl::Status AddBubblewrap(Contest& contest) {
  if (access("/usr/bin/bwrap", X_OK) != 0) return ErrnoStatus(errno, "bwrap");
  BROOD_ASSIGN_OR_RETURN(const std::string programs, RunfilesDirectory("tests/programs/bin"));
  const std::string program = std::filesystem::canonical(programs + "/does_nothing").string();
  contest.Add("bwrap --unshare-all", [argv = Bubblewrap(program)] { return SpawnAndWait(argv); });
  return absl::OkStatus();
}

absl::StatusOr<Contest> StartPrograms(int rounds, int in_a_row) {
  BROOD_ASSIGN_OR_RETURN(const std::string programs, RunfilesDirectory("tests/programs/bin"));
  BROOD_ASSIGN_OR_RETURN(const std::string cli, RunfilesDirectory("cli"));
  // Runfiles are symbolic links, which would dangle in a sandbox.
  const std::string program = std::filesystem::canonical(programs + "/does_nothing").string();
  const std::string brood = std::filesystem::canonical(cli + "/brood").string();

  Contest contest(in_a_row > 1 ? "start a static program" : "start one now and then", "vfork+exec+wait");
  contest.SetTimesInARow(in_a_row);
  contest.Add("vfork+exec+wait", [=] { return SpawnAndWait({program}); });
  for (const char* policy : {"none", "default", "strict"}) {
    BROOD_ASSIGN_OR_RETURN(const LaunchOptions options, LibraryLaunch(policy, program));
    contest.Add(absl::StrCat("library, ", policy), [=] { return LaunchAndJoin(options); });
  }
  const Context context(StartMethod::kForkServer);
  for (const char* policy : {"default", "strict"}) {
    BROOD_ASSIGN_OR_RETURN(const LaunchOptions options, LibraryLaunch(policy, program));
    contest.Add(absl::StrCat("library, ", policy, ", kept"), [=]() -> absl::Status {
      BROOD_ASSIGN_OR_RETURN(Process process, context.Launch(options));
      BROOD_ASSIGN_OR_RETURN(const Outcome outcome, process.Join());
      return outcome.ok() ? absl::OkStatus() : absl::InternalError(outcome.ToString());
    });
  }
  contest.Add("brood run, none", [=] { return SpawnAndWait({brood, "run", "--policy", "none", "--", program}); });
  for (const char* policy : {"default", "strict"}) {
    contest.Add(absl::StrCat("brood run, ", policy), [=] {
      return SpawnAndWait({brood, "run", "--policy", policy, "--ro", program + ":/program", "--", "/program"});
    });
  }
  if (!AddBubblewrap(contest).ok()) contest.Skip("bwrap --unshare-all", "bubblewrap is not installed");
  AddOthers(contest, program);
  contest.Run(rounds);
  return contest;
}

}  // namespace brood
