// What a launch costs: brood beside the bare system calls and beside other launchers. See tools/bench.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "benchmarks/contest.h"
#include "bootstrap/bootstrap.h"
#include "cli/runfiles.h"
#include "launcher/context.h"
#include "launcher/process.h"

namespace brood {
namespace {

int Same(int value) { return value; }
BROOD_TARGET(Same);

absl::Status CheckStatus(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("ended with wait status ", status));
}

absl::Status ForkAndWait() {
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return ErrnoStatus(errno, "fork");
  return CheckStatus(status);
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

absl::Status CallSame(const Context& context) {
  BROOD_ASSIGN_OR_RETURN(const int value, context.Call(Same, 7));
  return value == 7 ? absl::OkStatus() : absl::InternalError("the wrong value came back");
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

absl::StatusOr<Contest> Programs(int rounds) {
  BROOD_ASSIGN_OR_RETURN(const std::string programs, RunfilesDirectory("tests/programs/bin"));
  BROOD_ASSIGN_OR_RETURN(const std::string cli, RunfilesDirectory("cli"));
  // Runfiles are symbolic links, which would dangle in a sandbox.
  const std::string program = std::filesystem::canonical(programs + "/does_nothing").string();
  const std::string brood = std::filesystem::canonical(cli + "/brood").string();

  Contest contest("start a static program", "vfork+exec+wait");
  contest.Add("vfork+exec+wait", [=] { return SpawnAndWait({program}); });
  for (const char* policy : {"none", "default", "strict"}) {
    BROOD_ASSIGN_OR_RETURN(const LaunchOptions options, LibraryLaunch(policy, program));
    contest.Add(absl::StrCat("library, ", policy), [=] { return LaunchAndJoin(options); });
  }
  contest.Add("brood run, none", [=] { return SpawnAndWait({brood, "run", "--policy", "none", "--", program}); });
  for (const char* policy : {"default", "strict"}) {
    contest.Add(absl::StrCat("brood run, ", policy), [=] {
      return SpawnAndWait({brood, "run", "--policy", policy, "--ro", program + ":/program", "--", "/program"});
    });
  }
  if (access("/usr/bin/bwrap", X_OK) == 0) {
    contest.Add("bwrap --unshare-all", [argv = Bubblewrap(program)] { return SpawnAndWait(argv); });
  } else {
    contest.Skip("bwrap --unshare-all", "bubblewrap is not installed");
  }
  contest.Run(rounds);
  return contest;
}

Contest Functions(int rounds) {
  Contest contest("call a function", "fork+wait");
  contest.Add("fork+wait", ForkAndWait);
  contest.Add("library, fork", [context = Context(StartMethod::kFork)] { return CallSame(context); });
  contest.Add("library, spawn", [context = Context(StartMethod::kSpawn)] { return CallSame(context); });
  contest.Add("library, forkserver", [context = Context(StartMethod::kForkServer)] { return CallSame(context); });
  contest.Run(rounds);
  return contest;
}

void Print(const Contest& contest) {
  bool first = true;
  for (const Row& row : contest.Rows()) {
    if (first) {
      absl::PrintF("%-24s %7s %10s %10s %10s %9s\n", row.workload, "n", "p50 us", "p99 us", "per second", "p50/floor");
    }
    first = false;
    absl::PrintF("  %-22s %7d %10.0f %10.0f %10.0f %9.2f\n", row.contestant, row.n, row.p50_us, row.p99_us,
                 row.per_second, row.ratio_to_floor);
  }
  for (const Skipped& skipped : contest.skipped()) {
    absl::PrintF("  %-22s skipped: %s\n", skipped.contestant, skipped.reason);
  }
}

absl::Status WriteJson(const std::vector<Contest>& contests, const std::string& path) {
  nlohmann::json rows = nlohmann::json::array();
  nlohmann::json skips = nlohmann::json::array();
  for (const Contest& contest : contests) {
    for (const Row& row : contest.Rows()) {
      rows.push_back({{"workload", row.workload},
                      {"contestant", row.contestant},
                      {"n", row.n},
                      {"p50_us", row.p50_us},
                      {"p99_us", row.p99_us},
                      {"per_second", row.per_second},
                      {"ratio_to_floor", row.ratio_to_floor}});
    }
    for (const Skipped& skip : contest.skipped()) {
      skips.push_back({{"workload", skip.workload}, {"contestant", skip.contestant}, {"reason", skip.reason}});
    }
  }
  const nlohmann::json whole = {{"v", 1}, {"rows", rows}, {"skipped", skips}};
  const std::string text = whole.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  FILE* file = fopen(path.c_str(), "we");
  if (file == nullptr) return ErrnoStatus(errno, "open", path);
  const bool written = fwrite(text.data(), 1, text.size(), file) == text.size();
  return fclose(file) == 0 && written ? absl::OkStatus() : ErrnoStatus(errno, "write", path);
}

int Main(int argc, char** argv) {
  CLI::App app("Measures what a launch costs, contestants interleaved in one run.", "tools/bench");
  std::string json;
  bool quick = false;
  int rounds = 300;
  app.add_option("--json", json, "write the rows to FILE")->option_text("FILE");
  app.add_option("--rounds", rounds, "rounds that count")->capture_default_str()->check(CLI::Range(1, 1000000));
  app.add_flag("--quick", quick, "30 rounds: to see that it works, not to compare");
  CLI11_PARSE(app, argc, argv);
  if (quick) rounds = 30;

  std::vector<Contest> contests;
  contests.push_back(Functions(rounds));
  absl::StatusOr<Contest> programs = Programs(rounds);
  if (!programs.ok()) {
    absl::FPrintF(stderr, "bench: %s\n", programs.status().message());
    return 125;
  }
  contests.push_back(*std::move(programs));
  for (const Contest& contest : contests) Print(contest);
  if (!json.empty()) {
    if (const absl::Status written = WriteJson(contests, json); !written.ok()) {
      absl::FPrintF(stderr, "bench: %s\n", written.message());
      return 125;
    }
  }
  return 0;
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) {
  brood::Bootstrap(argc, argv);
  return brood::Main(argc, argv);
}
