// `brood run` with filters that somebody else has made.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"
#include "tests/e2e/layers.h"

namespace brood {
namespace {

using Program = std::vector<sock_filter>;

constexpr sock_filter Return(uint32_t answer) { return BPF_STMT(BPF_RET | BPF_K, answer); }

// Answers some calls so, and the others otherwise.
Program Answering(const std::vector<long>& numbers, uint32_t answer, uint32_t others) {
  Program program = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const long number : numbers) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1));
    program.push_back(Return(answer));
  }
  program.push_back(Return(others));
  return program;
}

class BpfFileTest : public LayersTest {
 protected:
  std::string FileOf(const Program& program, const std::string& name = "filter.bpf") {
    const std::string path = absl::StrCat(directory_.path(), "/", name);
    Write(path, std::string(reinterpret_cast<const char*>(program.data()), program.size() * sizeof(sock_filter)));
    return path;
  }
  PlainRun Call(const std::vector<std::string>& files, long number, std::vector<std::string> args = {}) {
    std::vector<std::string> options = {"--policy", GetParam(), "--result", Result()};
    for (const std::string& file : files) options.insert(options.end(), {"--seccomp-bpf", file});
    args.insert(args.begin(), {"makes_call", absl::StrCat(number)});
    return Brood(RunArgs(options, args));
  }
};
INSTANTIATE_TEST_SUITE_P(Policies, BpfFileTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

const std::string kNotTty = absl::StrCat(-ENOTTY, "\n");

TEST_P(BpfFileTest, RefusesACallThatThePolicyAllows) {
  const std::string file = FileOf(Answering({SYS_getppid}, SECCOMP_RET_ERRNO | ENOTTY, SECCOMP_RET_ALLOW));
  EXPECT_EQ(Call({file}, SYS_getppid).out, kNotTty);
  EXPECT_NE(Call({file}, SYS_getpid).out, kNotTty);
  EXPECT_TRUE(absl::StrContains(FileContent(Result()), absl::StrCat("; that of ", file, ", 4 instructions\""))) << FileContent(Result());
  EXPECT_NE(Call({}, SYS_getppid).out, kNotTty);
}

TEST_P(BpfFileTest, AllowsNothingThatThePolicyRefuses) {
  const PlainRun run = Call({FileOf({Return(SECCOMP_RET_ALLOW)})}, SYS_mount);
  EXPECT_EQ(run.code, 128 + SIGSYS);
  EXPECT_TRUE(absl::StrContains(FileContent(Result()), "\"violation\":{\"syscall\":\"mount\"")) << FileContent(Result());
}

// Who ended it by SIGSYS, a filter or a signal that was sent, the kernel does not tell.
TEST_P(BpfFileTest, WhatItKillsIsASignal) {
  for (const uint32_t answer : {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP}) {
    EXPECT_EQ(Call({FileOf(Answering({SYS_getppid}, answer, SECCOMP_RET_ALLOW))}, SYS_getppid).code, 128 + SIGSYS);
    EXPECT_TRUE(absl::StrContains(FileContent(Result()), "\"status\":\"signaled\"")) << FileContent(Result());
    EXPECT_TRUE(absl::StrContains(FileContent(Result()), "\"signal\":31")) << FileContent(Result());
  }
}

TEST_P(BpfFileTest, OfSeveralTheStrictestCounts) {
  const std::string first = FileOf(Answering({SYS_getppid}, SECCOMP_RET_ERRNO | ENOTTY, SECCOMP_RET_ALLOW), "first");
  const std::string second = FileOf(Answering({SYS_getpgid}, SECCOMP_RET_ERRNO | EXDEV, SECCOMP_RET_ALLOW), "second");
  const std::string third = FileOf(Answering({SYS_getpgid}, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW), "third");
  EXPECT_EQ(Call({first, second}, SYS_getppid).out, kNotTty);
  EXPECT_EQ(Call({first, second}, SYS_getpgid).out, absl::StrCat(-EXDEV, "\n"));
  EXPECT_EQ(Call({third, second, first}, SYS_getpgid).code, 128 + SIGSYS);
  EXPECT_EQ(Call({second, third, first}, SYS_getpgid).code, 128 + SIGSYS);
}

// As most lists of what is allowed: it has what the program needs, and neither seccomp(2) nor clone3(2).
TEST_P(BpfFileTest, NeedNotAllowThatAnotherIsLoaded) {
  const std::vector<long> needed = {SYS_execve, SYS_brk, SYS_arch_prctl, SYS_set_tid_address, SYS_set_robust_list, SYS_rseq, SYS_prlimit64, SYS_readlinkat,
                                    SYS_readlink, SYS_getrandom, SYS_mprotect, SYS_newfstatat, SYS_fstat, SYS_write, SYS_exit_group, SYS_getppid, SYS_ioctl};
  const std::string list = FileOf(Answering(needed, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS), "list");
  const std::string other = FileOf(Answering({SYS_getppid}, SECCOMP_RET_ERRNO | ENOTTY, SECCOMP_RET_ALLOW), "other");
  EXPECT_EQ(Call({list, other}, SYS_getppid).out, kNotTty) << FileContent(Result());
  EXPECT_EQ(Call({other, list}, SYS_getppid).out, kNotTty) << FileContent(Result());
  // And decides about seccomp(2) when the program calls it.
  EXPECT_EQ(Call({list, other}, SYS_seccomp).code, 128 + SIGSYS);
  EXPECT_TRUE(absl::StrContains(FileContent(Result()), "\"status\":\"signaled\"")) << FileContent(Result());
}

// It says that the policy's own filter is loaded, and does not let it.
TEST_P(BpfFileTest, CannotFeignThatAnotherIsLoaded) {
  const std::string liar = FileOf(Answering({SYS_seccomp}, SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW), "liar");
  const std::string refuses = FileOf(Answering({SYS_getppid}, SECCOMP_RET_ERRNO | ENOTTY, SECCOMP_RET_ALLOW), "refuses");
  EXPECT_EQ(Call({liar}, SYS_mount).code, 128 + SIGSYS);
  EXPECT_TRUE(absl::StrContains(FileContent(Result()), "\"violation\":{\"syscall\":\"mount\"")) << FileContent(Result());
  EXPECT_EQ(Call({liar, refuses}, SYS_getppid).out, kNotTty);
}

TEST_P(BpfFileTest, BadOnesAreNamedWithTheirInstruction) {
  const std::string bad = FileOf({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 7), Return(SECCOMP_RET_ALLOW)});
  const PlainRun run = Call({bad}, SYS_getppid);
  EXPECT_EQ(run.code, 125);
  EXPECT_EQ(run.out, "");
  EXPECT_TRUE(absl::StrContains(run.err, absl::StrCat("--seccomp-bpf: bpf_files: ", bad, ": instruction 1: jumps to instruction 9, past the end"))) << run.err;
  const PlainRun file = Run(absl::StrCat("\n\"bpf_files\": [\n\"", FileOf({Return(SECCOMP_RET_ALLOW)}, "good"), "\",\n\"", bad, "\"]"), {"does_nothing"});
  EXPECT_EQ(file.code, 125);
  EXPECT_TRUE(absl::StrContains(file.err, absl::StrCat("/policy.json:4: field \"bpf_files[1]\": ", bad, ": instruction 1: jumps"))) << file.err;
  EXPECT_TRUE(absl::StrContains(Run("\"bpf_files\": [\"here.bpf\"]", {"does_nothing"}).err, "\"here.bpf\" is not an absolute path"));
  EXPECT_TRUE(absl::StrContains(Run("\"bpf_files\": [\"/nowhere/a.bpf\"]", {"does_nothing"}).err, "/nowhere/a.bpf"));
  EXPECT_TRUE(absl::StrContains(Call({FileOf({}, "empty")}, SYS_getppid).err, "/empty: is empty; expected a filter"));
}

TEST_P(BpfFileTest, AFileOfAPolicyIsCheckedAndExplained) {
  const std::string bpf = FileOf(Answering({SYS_getppid}, SECCOMP_RET_ERRNO | ENOTTY, SECCOMP_RET_KILL_PROCESS));
  const std::vector<std::string> options = With(absl::StrCat("\"bpf_files\": [\"", bpf, "\"]"));
  EXPECT_EQ(Brood({"policy", "check", options[1]}).out, options[1] + ": ok\n");
  const PlainRun words = Brood({"policy", "explain", options[1]});
  EXPECT_TRUE(absl::StrContains(words.out, absl::StrCat("  and only if the filter of ", bpf, " lets it (4 instructions, which --bpf shows)\n"))) << words.out;
  const PlainRun listing = Brood({"policy", "explain", "--bpf", options[1]});
  EXPECT_TRUE(absl::EndsWith(listing.out, absl::StrCat("; ", bpf, "\n0000  ld nr\n0001  ", absl::StrFormat("%-30s ; getppid", absl::StrCat("jeq ", SYS_getppid, " else 3")),
                                                       "\n0002  return errno ENOTTY\n0003  return kill process\n")))
      << listing.out.substr(listing.out.size() - 300);
}

TEST(BpfFileWithoutNoNewPrivsTest, IsRefused) {
  TemporaryDirectory directory;
  const sock_filter allow = Return(SECCOMP_RET_ALLOW);
  Write(directory.path() + "/f", std::string(reinterpret_cast<const char*>(&allow), sizeof(allow)));
  const PlainRun run = Brood({"run", "--policy", "none", "--seccomp-bpf", directory.path() + "/f", "--", "true"});
  EXPECT_EQ(run.code, 125);
  EXPECT_TRUE(absl::StrContains(run.err, "bpf_files: needs drop_privileges (no_new_privs)")) << run.err;
}

// What a policy without a filter of its own gets.
TEST(BpfFileWithoutAnotherFilterTest, IsTheOnlyOne) {
  TemporaryDirectory directory;
  const Program program = Answering({SYS_getppid}, SECCOMP_RET_ERRNO | ENOTTY, SECCOMP_RET_ALLOW);
  Write(directory.path() + "/f", std::string(reinterpret_cast<const char*>(program.data()), program.size() * sizeof(sock_filter)));
  Write(directory.path() + "/p.json", "{\"extends\": null, \"drop_privileges\": true, \"network\": {\"mode\": \"host\"}}");
  const std::vector<std::string> options = {"--policy", directory.path() + "/p.json", "--result", directory.path() + "/r"};
  std::vector<std::string> with = options;
  with.insert(with.end(), {"--seccomp-bpf", directory.path() + "/f"});
  const std::vector<std::string> argv = {"python3", "-c", "import os; print(os.getppid())"};
  const auto run = [&](std::vector<std::string> args) {
    args.insert(args.begin(), "run");
    args.push_back("--");
    args.insert(args.end(), argv.begin(), argv.end());
    return Brood(args);
  };
  EXPECT_NE(run(options).out, kNotTty);
  EXPECT_EQ(run(with).out, kNotTty) << run(with).err;
  EXPECT_TRUE(absl::StrContains(FileContent(directory.path() + "/r"), "\"seccomp\":\"that of ")) << FileContent(directory.path() + "/r");
}

}  // namespace
}  // namespace brood
