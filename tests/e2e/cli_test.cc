// The brood program as its users meet it: exit codes, results, errors.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

TEST(CliRunTest, TheExitStatusIsTheProgramsOwn) {
  for (int code : {0, 1, 7, 137, 255}) EXPECT_EQ(RunCode({}, {"exits_with", absl::StrCat(code)}), code);
}

TEST(CliRunTest, SignalsAndLimitsHaveTheirCodes) {
  EXPECT_EQ(RunCode({}, {"raises_segv"}), 128 + SIGSEGV);
  EXPECT_EQ(RunCode({}, {"raises_kill"}), 128 + SIGKILL);
  EXPECT_EQ(RunCode({}, {"aborts"}), 128 + SIGABRT);
  EXPECT_EQ(RunCode({"--wall-time", "300ms"}, {"sleeps_forever"}), 124);
  EXPECT_EQ(RunCode({"--cpu-time", "1s", "--allow-weaker", "cpu_time"}, {"spins_forever"}), 152);
  EXPECT_EQ(RunCode({"--output", "1M"}, {"writes_forever"}), 153);
  EXPECT_EQ(RunCode({"--policy", "strict"}, {"mounts_tmpfs"}), 159);
}

TEST(CliRunTest, MissingAndNotExecutableProgramsAreToldApart) {
  EXPECT_EQ(Brood({"run", "--", "brood-e2e-no-such-program"}).code, 127);
  EXPECT_EQ(Brood({"run", "--", "/usr/share"}).code, 126);
}

TEST(CliRunTest, BadUsageIsBroodsOwnFailure) {
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{"run"},
                                             {"run", "--no-such-option", "--", "true"},
                                             {"run", "--memory", "lots", "--", "true"},
                                             {"run", "--policy", "no-such-policy", "--", "true"}}) {
    const PlainRun run = Brood(args);
    EXPECT_EQ(run.code, 125);
    EXPECT_NE(run.err, "");
    EXPECT_EQ(run.out, "");
  }
}

TEST(CliRunTest, ThePolicyFileWithAnUnknownSystemCallIsRefused) {
  TemporaryDirectory directory;
  const std::string file = directory.path() + "/policy.json";
  Write(file, "{ \"extends\": \"strict\",\n  \"syscalls\": [{\"names\": [\"opnat\"], \"action\": \"allow\"}] }\n");
  const PlainRun run = Brood({"run", "--policy", file, "--", "true"});
  EXPECT_EQ(run.code, 125);
  EXPECT_TRUE(absl::StrContains(run.err, "opnat")) << run.err;
  EXPECT_EQ(Brood({"policy", "check", file}).code, 1);
}

TEST(CliRunTest, TheResultNamesTheViolation) {
  TemporaryDirectory directory;
  const std::string result = directory.path() + "/result.json";
  EXPECT_EQ(RunCode({"--policy", "strict", "--result", result}, {"mounts_tmpfs"}), 159);
  const std::string text = FileContent(result);
  for (const char* part : {"\"status\":\"violation\"", "\"syscall\":\"mount\"", "\"nr\":165", "\"exit_code\":null", "\"args\":[\"0x", "\"arch\":\"x86_64\"", "\"tid\":", "\"ip\":\"0x",
                           R"("decoded":["\"none\"","\"/tmp\"","\"tmpfs\"",)"}) {
    EXPECT_TRUE(absl::StrContains(text, part)) << part << " in " << text;
  }
}

// Starts `brood run` and gives its pid; its standard output leads to `out`.
pid_t StartBrood(std::vector<std::string> args, const std::string& out) {
  args.insert(args.begin(), BroodPath());
  const pid_t pid = fork();
  if (pid != 0) return pid;
  dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
  dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), STDOUT_FILENO);
  std::vector<char*> words;
  for (std::string& word : args) words.push_back(word.data());
  words.push_back(nullptr);
  execv(words[0], words.data());
  _exit(127);
}

int Wait(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(CliRunTest, AStreamThatTheCallerHasClosedIsNoFileOfBroods) {
  const auto with = [](const char* script) { return RunPlain({"sh", "-c", script, BroodPath()}); };
  // As it is without brood: the program is told that the stream is closed.
  const PlainRun no_input = with("exec \"$0\" run -- cat <&-");
  EXPECT_EQ(no_input.code, 1);
  EXPECT_TRUE(absl::StrContains(no_input.err, "Bad file descriptor")) << no_input.err;
  const PlainRun no_output = with("exec \"$0\" run -- sh -c 'echo hi' >&-");
  EXPECT_NE(no_output.code, 0);
  EXPECT_TRUE(absl::StrContains(no_output.err, "I/O error") || absl::StrContains(no_output.err, "Bad file descriptor"))
      << no_output.err;
  EXPECT_EQ(with("exec \"$0\" run -- true <&- >&- 2>&-").code, 0);
}

TEST(CliRunTest, AProgramThatIsOnlyHiddenIsSaidToBe) {
  TemporaryDirectory directory;
  const std::string script = directory.path() + "/hidden.sh";
  Write(script, "#!/bin/sh\necho seen\n");
  ASSERT_EQ(chmod(script.c_str(), 0755), 0);
  const PlainRun hidden = Brood({"run", "--", script});
  EXPECT_EQ(hidden.code, 127);
  EXPECT_TRUE(absl::StrContains(hidden.err, absl::StrCat("--ro ", script, " shows it"))) << hidden.err;
  EXPECT_EQ(Brood({"run", "--ro", script, "--", script}).out, "seen\n");
  const PlainRun missing = Brood({"run", "--", "brood-e2e-no-such-program"});
  EXPECT_FALSE(absl::StrContains(missing.err, "--ro")) << missing.err;
}

TEST(CliRunTest, ADirectoryCanBeShownWhoseFilesThePolicyShowsAlready) {
  const PlainRun run = Brood({"run", "--ro", "/etc", "--", "ls", "/etc"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_TRUE(absl::StrContains(run.out, "hostname\n")) << run.out;
}

TEST(CliRunTest, StrictRunsAShellAndAMakefile) {
  EXPECT_EQ(Brood({"run", "-p", "strict", "--", "bash", "-c", "echo hi"}).out, "hi\n");
  // What GNU make does before each of its children: the effective id becomes the real one, which it is already.
  const PlainRun same = Brood({"run", "-p", "strict", "--", "python3", "-c", "import os; os.seteuid(1000); print('ran')"});
  EXPECT_EQ(same.out, "ran\n") << same.err;
  const PlainRun root = Brood({"run", "-p", "strict", "--", "python3", "-c", "import os; os.seteuid(0)"});
  EXPECT_EQ(root.code, 1);
  EXPECT_EQ(Brood({"run", "-p", "strict", "--", "python3", "-c", "import os; os.setresuid(0, 0, 0)"}).code, 159);
}

TEST(CliRunTest, ALaunchThatFailedEnforcedNothing) {
  TemporaryDirectory directory;
  const std::string result = directory.path() + "/result.json";
  EXPECT_EQ(Brood({"run", "--result", result, "--", "/no/such/program"}).code, 127);
  EXPECT_TRUE(absl::StrContains(FileContent(result), "\"enforced\":{}")) << FileContent(result);
}

TEST(CliRunTest, TheWallTimeOfAWaitedTreeIsTheTrees) {
  TemporaryDirectory directory;
  const std::string result = directory.path() + "/result.json";
  const PlainRun run = Brood({"run", "--wait-tree", "--wall-time", "300ms", "--result", result, "--", "sh", "-c",
                              "sleep 1000 & echo left"});
  EXPECT_EQ(run.code, 124);
  EXPECT_TRUE(absl::StrContains(FileContent(result), "\"wall_s\":0.3")) << FileContent(result);
}

TEST(CliRunTest, ARelativeCwdIsTheCallers) {
  const PlainRun run = RunPlain({"sh", "-c", "cd /usr && exec \"$0\" run --cwd lib/.. --ro . -- pwd", BroodPath()});
  EXPECT_EQ(run.out, "/usr\n") << run.err;
  const PlainRun below = RunPlain({"sh", "-c", "cd /usr && exec \"$0\" run --cwd share -- pwd", BroodPath()});
  EXPECT_EQ(below.out, "/usr/share\n") << below.err;
}

TEST(CliBatchTest, ARelativeCwdOfAJobIsTheCallers) {
  const std::string jobs = R"({"id":"a","argv":["pwd"],"cwd":"share"}
{"id":"b","argv":["pwd"],"cwd":"lib/.."}
{"id":"c","argv":["pwd"],"cwd":"share","policy":"none"}
{"id":"d","argv":["pwd"],"cwd":"nowhere"}
)";
  const PlainRun run =
      RunPlain({"sh", "-c", "cd /usr && printf %s \"$1\" | \"$0\" batch --keep-order --progress never -", BroodPath(), jobs});
  EXPECT_EQ(run.code, 1) << run.err;
  for (const char* expected : {R"("text":"/usr/share\n")", R"("text":"/usr\n")", R"("detail":"/usr/nowhere")"}) {
    EXPECT_TRUE(absl::StrContains(run.out, expected)) << expected << "\n" << run.out << run.err;
  }
}

// With a shell that came there by a symbolic link: --ro shows the directory under its real name.
TEST(CliRunTest, TheCallersDirectoryIsTheChildsByWhateverNameItIsShown) {
  TemporaryDirectory directory;
  std::filesystem::create_directory(directory.path() + "/real");
  std::filesystem::create_symlink("real", directory.path() + "/link");
  const std::string in_link = "cd \"$1/link\" && exec \"$0\" run ";
  for (const char* shown : {"--ro . -- pwd", "--ro \"$1\" -- pwd", "--ro \"$1/real\" --cwd ../real/. -- pwd"}) {
    const PlainRun run = RunPlain({"sh", "-c", in_link + shown, BroodPath(), directory.path()});
    EXPECT_EQ(run.out, directory.path() + "/real\n") << shown << run.err;
  }
  const PlainRun run = RunPlain({"sh", "-c", in_link + "--ro \"$PWD\" -- pwd", BroodPath(), directory.path()});
  EXPECT_EQ(run.out, directory.path() + "/link\n") << run.err;
}

TEST(CliRunTest, SignalsAreForwardedToTheProgram) {
  TemporaryDirectory directory;
  const std::string out = directory.path() + "/out";
  const pid_t pid = StartBrood(RunArgs({}, {"traps_term"}), out);
  EXPECT_TRUE(WaitFor([&] { return FileContent(out) == "trapping\n"; }));
  kill(pid, SIGTERM);
  EXPECT_EQ(Wait(pid), 0);
}

TEST(CliRunTest, ASecondSignalKillsTheTree) {
  TemporaryDirectory directory;
  const std::string out = directory.path() + "/out";
  const std::string token = absl::StrCat("token-second-", getpid());
  const pid_t pid = StartBrood(RunArgs({}, {"ignores_all_signals", token}), out);
  EXPECT_TRUE(WaitFor([&] { return FileContent(out) == "ignoring\n"; }));
  kill(pid, SIGTERM);
  // Not ended by the first. There is nothing to wait for here but time.
  const auto ended = [&] {
    siginfo_t info = {};
    return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
  };
  EXPECT_FALSE(WaitFor(ended, absl::Milliseconds(200)));
  kill(pid, SIGTERM);
  EXPECT_EQ(Wait(pid), 128 + SIGKILL);
  // brood itself, whose command line has the token too, is gone as well.
  EXPECT_TRUE(ProcessesNamed(token).empty());
}

TEST(CliRunTest, KillingBroodKillsTheTree) {
  TemporaryDirectory directory;
  const std::string out = directory.path() + "/out";
  const std::string token = absl::StrCat("token-owner-", getpid());
  const pid_t pid = StartBrood(RunArgs({}, {"sleeps_forever", token}), out);
  EXPECT_TRUE(WaitFor([&] { return FileContent(out) == "asleep\n"; }));
  kill(pid, SIGKILL);
  EXPECT_EQ(Wait(pid), -SIGKILL);
  EXPECT_TRUE(WaitFor([&] { return ProcessesNamed(token).empty(); }));
}

TEST(CliBatchTest, BadLinesAreReportedBeforeAnythingRuns) {
  TemporaryDirectory directory;
  const std::string jobs = directory.path() + "/jobs.jsonl";
  const std::string results = directory.path() + "/results.jsonl";
  Write(jobs,
        "{\"id\":\"a\",\"argv\":[\"true\"]}\n"
        "{\"id\":\"b\",\"argv\":[\"true\"]\n"
        "{\"id\":\"c\",\"argv\":[\"true\"],\"colour\":\"red\"}\n"
        "{\"id\":\"a\",\"argv\":[\"true\"]}\n");
  const PlainRun run = Brood({"batch", "--results", results, jobs});
  EXPECT_EQ(run.code, 2);
  for (const char* place : {"jobs.jsonl:2", "jobs.jsonl:3", "jobs.jsonl:4"}) {
    EXPECT_TRUE(absl::StrContains(run.err, place)) << place << " in " << run.err;
  }
  EXPECT_FALSE(absl::StrContains(FileContent(results), "\"id\"")) << FileContent(results);
}

TEST(CliBatchTest, AJobThatCannotStartTakesNoOtherWithIt) {
  TemporaryDirectory directory;
  const std::string jobs = directory.path() + "/jobs.jsonl";
  const std::string results = directory.path() + "/results.jsonl";
  Write(jobs,
        "{\"id\":\"first\",\"argv\":[\"true\"]}\n"
        "{\"id\":\"missing\",\"argv\":[\"/no/such/program\"]}\n"
        "{\"id\":\"crash\",\"argv\":[\"sh\",\"-c\",\"kill -SEGV $$\"],\"policy\":\"strict\"}\n"
        "{\"id\":\"last\",\"argv\":[\"echo\",\"done\"]}\n");
  const PlainRun run = Brood({"batch", "-j", "2", "--results", results, jobs});
  EXPECT_EQ(run.code, 1) << run.err;
  const std::string text = FileContent(results);
  size_t with_status = 0;
  for (const std::string_view line : absl::StrSplit(text, '\n')) with_status += absl::StrContains(line, "\"status\":");
  EXPECT_EQ(with_status, 4u) << text;
  for (const char* part : {"\"status\":\"setup_failed\"", "\"status\":\"signaled\"", "done\\n"}) {
    EXPECT_TRUE(absl::StrContains(text, part)) << part << " in " << text;
  }
}

TEST(CliTest, MistakesAreOneLineAndAPointerOnStandardError) {
  struct Case {
    std::vector<std::string> args;
    int code;
    std::string_view line;
  };
  const Case cases[] = {
      {{"rnu"}, 2, "brood: no such command: rnu; did you mean \"run\"?"},
      {{"--versoin"}, 2, "did you mean \"--version\"?"},
      {{"demo", "--job", "3"}, 2, "brood demo: unknown option --job; did you mean \"--jobs\"?"},
      {{"demo", "--jobs", "0"}, 2, "brood demo: --jobs: expected 1 to 100000, got \"0\""},
      {{"demo", "3"}, 2, "brood demo: takes no operands"},
      {{"policy", "explain", "strct"}, 2, "did you mean \"strict\"?"},
      {{"policy", "explain"}, 2, "brood policy: expected explain NAME|FILE, check FILE or learn PROGRAM\n"},
      {{"run", "--hostname", "", "true"}, 125, "brood run: --hostname: expected 1 to 64 bytes, none of them zero, got \"\""},
      {{"run", "--memory", "0", "true"}, 125, "must be more than zero"},
  };
  for (const Case& mistake : cases) {
    const PlainRun run = Brood(mistake.args);
    EXPECT_EQ(run.code, mistake.code) << mistake.line;
    EXPECT_EQ(run.out, "") << mistake.line;
    EXPECT_TRUE(absl::StrContains(run.err, mistake.line)) << run.err;
    EXPECT_LE(std::count(run.err.begin(), run.err.end(), '\n'), 2) << run.err;
  }
}

TEST(CliTest, VersionAndUnknownCommands) {
  EXPECT_EQ(Brood({"--version"}).code, 0);
  EXPECT_EQ(Brood({"rnu"}).code, 2);
  const PlainRun doctor = Brood({"doctor"});
  EXPECT_TRUE(doctor.code == 0 || doctor.code == 1) << doctor.err;
  EXPECT_TRUE(absl::StrContains(doctor.out, "seccomp")) << doctor.out;
}

TEST(CliDemoTest, ASmallDemoPasses) {
  TemporaryDirectory directory;
  const std::string json = directory.path() + "/demo.json";
  const PlainRun run = Brood({"demo", "--jobs", "24", "--json", json});
  EXPECT_EQ(run.code, 0) << run.out << run.err;
  EXPECT_TRUE(absl::StrContains(FileContent(json), "\"passed\": true"));
}

}  // namespace
}  // namespace brood
