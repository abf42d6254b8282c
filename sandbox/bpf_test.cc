#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "sandbox/bpf_answers.h"
#include "sandbox/bpf_check.h"
#include "sandbox/filter_text.h"

namespace brood {
namespace {

using Program = std::vector<sock_filter>;

BpfFile FileOf(const Program& program) {
  return {.path = "/some.bpf", .program = std::string(reinterpret_cast<const char*>(program.data()), program.size() * sizeof(sock_filter))};
}

std::string ProblemOf(const Program& program) {
  const auto read = ReadBpf(FileOf(program));
  return read.ok() ? "" : std::string(read.status().message());
}

constexpr sock_filter kAllow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
constexpr sock_filter kLoadNumber = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);

TEST(ReadBpfTest, NamesTheFileTheInstructionAndWhatIsWrong) {
  struct Case {
    Program program;
    std::string problem;
  };
  const Case cases[] = {
      {{}, "no instructions; expected a filter as the kernel takes it, of eight bytes each (struct sock_filter)"},
      {Program(kMaxBpfLength + 1, kAllow), absl::StrCat(kMaxBpfLength + 1, " instructions; at most ", kMaxBpfLength)},
      {{kLoadNumber}, "instruction 0 (ld nr): is the last one, and returns nothing"},
      {{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), kAllow}, "instruction 0 (ld args[6].low): loads from offset 64, past the 64 bytes that tell of a call"},
      {{kLoadNumber, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 5), kAllow}, "instruction 1 (ld [5]): loads from offset 5, which is no multiple of 4"},
      {{kLoadNumber, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1), kAllow}, "instruction 1: jumps to instruction 3, past the end"},
      {{BPF_STMT(BPF_JMP | BPF_JA, 1), kAllow}, "instruction 0: jumps 1 instructions ahead, past the end"},
      {{BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), kAllow}, "instruction 0: jumps 4294967295 instructions ahead, past the end"},
      {{BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), kAllow}, "is none that a filter of system calls may have (code 0x0030)"},
      {{BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), kAllow}, "instruction 0 (div 0x0): divides by zero"},
      {{BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), kAllow}, "instruction 0 (lsh 0x20): shifts by 32 bits, of 32"},
      {{BPF_STMT(BPF_ST, 16), kAllow}, "instruction 0 (st M[16]): uses memory word 16 of 16"},
      {{BPF_STMT(BPF_LD | BPF_MEM, 3), kAllow}, "instruction 0 (ld M[3]): reads memory word 3, which is not written before on every way"},
      {{BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)}, "asks a supervisor (SECCOMP_RET_USER_NOTIF), and there is none but brood's own; use errno or kill"},
      {{BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 7)}, "instruction 0 (return trace 7): asks a tracer (SECCOMP_RET_TRACE), and there is none; use errno or kill"},
  };
  for (const Case& one : cases) {
    EXPECT_TRUE(absl::StartsWith(ProblemOf(one.program), "/some.bpf: ")) << ProblemOf(one.program);
    EXPECT_TRUE(absl::EndsWith(ProblemOf(one.program), one.problem)) << ProblemOf(one.program);
  }
  BpfFile cut = FileOf({kAllow});
  cut.program.pop_back();
  EXPECT_EQ(ReadBpf(cut).status().message(), "/some.bpf: 7 bytes, and instructions of a filter have 8 each (struct sock_filter)");
}

TEST(ReadBpfTest, MemoryIsFollowedOverEveryWay) {
  const Program one_way = {kLoadNumber, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1), BPF_STMT(BPF_ST, 0), BPF_STMT(BPF_LD | BPF_MEM, 0), kAllow};
  EXPECT_TRUE(absl::StrContains(ProblemOf(one_way), "instruction 3 (ld M[0]): reads memory word 0")) << ProblemOf(one_way);
  const Program both_ways = {kLoadNumber, BPF_STMT(BPF_ST, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1), BPF_STMT(BPF_ST, 0), BPF_STMT(BPF_LD | BPF_MEM, 0), kAllow};
  EXPECT_EQ(ProblemOf(both_ways), "");
}

// In a child: 0 if the kernel takes the program, else its errno.
int TakenByTheKernel(const Program& program) {
  const pid_t child = fork();
  if (child == 0) {
    sock_fprog filter = {static_cast<unsigned short>(program.size()), const_cast<sock_filter*>(program.data())};
    // By a thread of its own it would stay; this one ends by what may be refused, so it says so first, by a signal.
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(200);
    const long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
    if (result != 0) _exit(errno);
    __builtin_trap();
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

// Of random programs, half of which are nearly right.
TEST(ReadBpfTest, TakesWhatTheKernelTakesAndNothingElse) {
  std::mt19937 random(20261128);
  const auto below = [&](uint32_t limit) { return static_cast<uint32_t>(random() % limit); };
  constexpr uint16_t kCodes[] = {BPF_LD | BPF_W | BPF_ABS, BPF_LD | BPF_W | BPF_LEN, BPF_LDX | BPF_W | BPF_LEN, BPF_LD | BPF_IMM, BPF_LDX | BPF_IMM,
                                 BPF_LD | BPF_MEM, BPF_LDX | BPF_MEM, BPF_ST, BPF_STX, BPF_MISC | BPF_TAX, BPF_MISC | BPF_TXA, BPF_ALU | BPF_ADD | BPF_K,
                                 BPF_ALU | BPF_DIV | BPF_K, BPF_ALU | BPF_DIV | BPF_X, BPF_ALU | BPF_MOD | BPF_K, BPF_ALU | BPF_LSH | BPF_K, BPF_ALU | BPF_RSH | BPF_X,
                                 BPF_ALU | BPF_NEG, BPF_ALU | BPF_XOR | BPF_X, BPF_JMP | BPF_JA, BPF_JMP | BPF_JEQ | BPF_K, BPF_JMP | BPF_JGT | BPF_X,
                                 BPF_JMP | BPF_JSET | BPF_K, BPF_JMP | BPF_JGE | BPF_K, BPF_RET | BPF_K, BPF_RET | BPF_A, BPF_LD | BPF_H | BPF_ABS, BPF_LDX | BPF_B | BPF_MSH};
  int taken = 0, refused = 0;
  for (int round = 0; round < 3000; ++round) {
    Program program(1 + below(6));
    for (sock_filter& step : program) {
      step = {kCodes[below(std::size(kCodes))], static_cast<uint8_t>(below(3)), static_cast<uint8_t>(below(3)), below(3) == 0 ? 4 * below(20) : below(40)};
      if (step.code == (BPF_RET | BPF_K)) step.k = SECCOMP_RET_ALLOW;
    }
    if (below(4) != 0) program.back() = kAllow;
    const int answer = TakenByTheKernel(program);
    EXPECT_EQ(ProblemOf(program).empty(), answer == 0) << answer << ": " << ProblemOf(program) << "\n" << DisassembleFilter(program);
    (answer == 0 ? taken : refused) += 1;
  }
  EXPECT_GT(taken, 200);
  EXPECT_GT(refused, 200);
}

// As a list by seccomp_rule_add(3), laid out in both of its ways.
TEST(ReadBpfTest, TakesWhatLibseccompWrites) {
  for (const uint32_t layout : {1u, 2u}) {
    const scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);
    ASSERT_EQ(seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, layout), 0);
    for (const int number : {SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(close), SCMP_SYS(exit_group), SCMP_SYS(execve)}) {
      ASSERT_EQ(seccomp_rule_add(context, SCMP_ACT_ALLOW, number, 0), 0);
    }
    ASSERT_EQ(seccomp_rule_add(context, SCMP_ACT_ERRNO(EXDEV), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, 2)), 0);
    const int file = memfd_create("filter", MFD_CLOEXEC);
    ASSERT_EQ(seccomp_export_bpf(context, file), 0);
    seccomp_release(context);
    BpfFile bpf = {.path = "/list.bpf", .program = std::string(65536, '\0')};
    bpf.program.resize(static_cast<size_t>(pread(file, bpf.program.data(), bpf.program.size(), 0)));
    close(file);
    const auto program = ReadBpf(bpf);
    ASSERT_TRUE(program.ok()) << program.status();
    for (const long number : {SYS_read, SYS_write, SYS_exit_group, SYS_execve}) EXPECT_TRUE(PossibleAnswers(*program, static_cast<uint32_t>(number)).always_allows()) << number;
    EXPECT_EQ(PossibleAnswers(*program, SYS_seccomp).strictest(), uint32_t{SECCOMP_RET_KILL_PROCESS});
    const std::vector<uint32_t> answers = PossibleAnswers(*program, SYS_socket).values;
    EXPECT_NE(std::find(answers.begin(), answers.end(), SECCOMP_RET_ERRNO | EXDEV), answers.end());
    EXPECT_TRUE(absl::StrContains(DisassembleFilter(*program), "return errno EXDEV")) << DisassembleFilter(*program);
  }
}

#if defined(__x86_64__)
constexpr uint32_t kNative = AUDIT_ARCH_X86_64;
#else
constexpr uint32_t kNative = AUDIT_ARCH_AARCH64;
#endif

TEST(PossibleAnswersTest, FollowNumberAndArchitectureThroughMemoryAndArithmetic) {
  const Program program = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kNative, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      kLoadNumber,
      BPF_STMT(BPF_ST, 2),
      BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 5),
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_STMT(BPF_LD | BPF_IMM, 105),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1),  // Number 100.
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
      BPF_STMT(BPF_LD | BPF_MEM, 2),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 200, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      kAllow,
  };
  ASSERT_EQ(ProblemOf(program), "");
  EXPECT_EQ(PossibleAnswers(program, 100).values, std::vector<uint32_t>{SECCOMP_RET_ERRNO | EACCES});
  EXPECT_TRUE(PossibleAnswers(program, 101).always_allows());
  EXPECT_FALSE(PossibleAnswers(program, 200).always_allows());
  EXPECT_EQ(PossibleAnswers(program, 200).strictest(), uint32_t{SECCOMP_RET_TRAP});
}

TEST(PossibleAnswersTest, WhatIsComputedOfArgumentsMayBeAnything) {
  const Program program = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)), BPF_STMT(BPF_RET | BPF_A, 0)};
  ASSERT_EQ(ProblemOf(program), "");
  EXPECT_TRUE(PossibleAnswers(program, 1).computed);
  EXPECT_FALSE(PossibleAnswers(program, 1).always_allows());
  EXPECT_EQ(PossibleAnswers(program, 1).strictest(), uint32_t{SECCOMP_RET_KILL_PROCESS});
  // A division by zero ends the filter with 0, which is SECCOMP_RET_KILL_THREAD.
  const Program divides = {BPF_STMT(BPF_LDX | BPF_IMM, 0), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), kAllow};
  EXPECT_EQ(PossibleAnswers(divides, 1).values, std::vector<uint32_t>{SECCOMP_RET_KILL_THREAD});
}

TEST(PossibleAnswersTest, TheStricterIsTheKernels) {
  constexpr uint32_t kOrder[] = {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO, SECCOMP_RET_USER_NOTIF,
                                 SECCOMP_RET_TRACE, SECCOMP_RET_LOG, SECCOMP_RET_ALLOW};
  for (size_t i = 0; i + 1 < std::size(kOrder); ++i) {
    EXPECT_EQ(Stricter(kOrder[i] | 3, kOrder[i + 1]), kOrder[i] | 3);
    EXPECT_EQ(Stricter(kOrder[i + 1], kOrder[i] | 3), kOrder[i] | 3);
  }
}

}  // namespace
}  // namespace brood
