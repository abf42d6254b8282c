#include "sandbox/bpf_check.h"

#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "sandbox/filter_text.h"

namespace brood {
namespace {

using Problem = std::string;  // Empty: none.

constexpr uint16_t kAllMemory = 0xffff;  // BPF_MEMWORDS of them.

bool IsJump(const sock_filter& step) { return BPF_CLASS(step.code) == BPF_JMP; }

Problem CheckJump(const sock_filter& step, size_t at, size_t length) {
  if (BPF_OP(step.code) == BPF_JA) {
    if (step.k < length - at - 1) return "";
    return absl::StrCat("jumps ", step.k, " instructions ahead, past the end");
  }
  for (const uint8_t offset : {step.jt, step.jf}) {
    if (at + 1 + offset >= length) return absl::StrCat("jumps to instruction ", at + 1 + offset, ", past the end");
  }
  return "";
}

// Without what an instruction is like by itself.
Problem CheckStep(const sock_filter& step, size_t at, size_t length) {
  switch (step.code) {
    case BPF_LD | BPF_W | BPF_ABS:
      if (step.k >= sizeof(seccomp_data)) return absl::StrCat("loads from offset ", step.k, ", past the ", sizeof(seccomp_data), " bytes that tell of a call");
      return step.k % 4 == 0 ? "" : absl::StrCat("loads from offset ", step.k, ", which is no multiple of 4");
    case BPF_LD | BPF_W | BPF_LEN:
    case BPF_LDX | BPF_W | BPF_LEN:
    case BPF_RET | BPF_A:
    case BPF_ALU | BPF_ADD | BPF_K:
    case BPF_ALU | BPF_ADD | BPF_X:
    case BPF_ALU | BPF_SUB | BPF_K:
    case BPF_ALU | BPF_SUB | BPF_X:
    case BPF_ALU | BPF_MUL | BPF_K:
    case BPF_ALU | BPF_MUL | BPF_X:
    case BPF_ALU | BPF_DIV | BPF_X:
    case BPF_ALU | BPF_AND | BPF_K:
    case BPF_ALU | BPF_AND | BPF_X:
    case BPF_ALU | BPF_OR | BPF_K:
    case BPF_ALU | BPF_OR | BPF_X:
    case BPF_ALU | BPF_XOR | BPF_K:
    case BPF_ALU | BPF_XOR | BPF_X:
    case BPF_ALU | BPF_LSH | BPF_X:
    case BPF_ALU | BPF_RSH | BPF_X:
    case BPF_ALU | BPF_NEG:
    case BPF_LD | BPF_IMM:
    case BPF_LDX | BPF_IMM:
    case BPF_MISC | BPF_TAX:
    case BPF_MISC | BPF_TXA:
      return "";
    case BPF_RET | BPF_K: {
      const uint32_t action = step.k & SECCOMP_RET_ACTION_FULL;
      // The kernel takes it, and answers ENOSYS, with which a program goes on otherwise than its author meant it to.
      if (action == SECCOMP_RET_USER_NOTIF) return "asks a supervisor (SECCOMP_RET_USER_NOTIF), and there is none but brood's own; use errno or kill";
      if (action == SECCOMP_RET_TRACE) return "asks a tracer (SECCOMP_RET_TRACE), and there is none; use errno or kill";
      return "";
    }
    case BPF_ALU | BPF_DIV | BPF_K:
      return step.k != 0 ? "" : "divides by zero";
    case BPF_ALU | BPF_LSH | BPF_K:
    case BPF_ALU | BPF_RSH | BPF_K:
      return step.k < 32 ? "" : absl::StrCat("shifts by ", step.k, " bits, of 32");
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX:
      return step.k < BPF_MEMWORDS ? "" : absl::StrCat("uses memory word ", step.k, " of ", BPF_MEMWORDS);
    case BPF_JMP | BPF_JA:
    case BPF_JMP | BPF_JEQ | BPF_K:
    case BPF_JMP | BPF_JEQ | BPF_X:
    case BPF_JMP | BPF_JGE | BPF_K:
    case BPF_JMP | BPF_JGE | BPF_X:
    case BPF_JMP | BPF_JGT | BPF_K:
    case BPF_JMP | BPF_JGT | BPF_X:
    case BPF_JMP | BPF_JSET | BPF_K:
    case BPF_JMP | BPF_JSET | BPF_X:
      return CheckJump(step, at, length);
    default:
      return absl::StrFormat("is none that a filter of system calls may have (code 0x%04x)", step.code);
  }
}

// Whether a word of memory may be read that was not written. As the kernel, in one pass: every jump leads forward.
// net/core/filter.c, check_load_and_stores()
std::pair<size_t, Problem> CheckMemory(const std::vector<sock_filter>& program) {
  std::vector<uint16_t> written(program.size(), kAllMemory);  // On every way that leads there.
  uint16_t here = 0;
  for (size_t at = 0; at < program.size(); ++at) {
    const sock_filter& step = program[at];
    here &= written[at];
    if (step.code == BPF_ST || step.code == BPF_STX) here = static_cast<uint16_t>(here | 1u << step.k);
    if (step.code == (BPF_LD | BPF_MEM) || step.code == (BPF_LDX | BPF_MEM)) {
      if ((here >> step.k & 1) == 0) return {at, absl::StrCat("reads memory word ", step.k, ", which is not written before on every way")};
    }
    if (!IsJump(step)) continue;
    if (BPF_OP(step.code) == BPF_JA) {
      written[at + 1 + step.k] &= here;
    } else {
      written[at + 1 + step.jt] &= here;
      written[at + 1 + step.jf] &= here;
    }
    here = kAllMemory;
  }
  return {0, ""};
}

absl::Status Bad(const BpfFile& file, std::string_view problem) { return absl::InvalidArgumentError(absl::StrCat(file.path, ": ", problem)); }

absl::Status BadStep(const BpfFile& file, const sock_filter& step, size_t at, std::string_view problem) {
  std::string text = DisassembleFilter({step});
  while (!text.empty() && text.back() == '\n') text.pop_back();
  // Its own number instead of that of the only one: "0000  ".
  return Bad(file, absl::StrCat("instruction ", at, IsJump(step) ? "" : absl::StrCat(" (", text.substr(6), ")"), ": ", problem));
}

}  // namespace

absl::StatusOr<std::vector<sock_filter>> ReadBpf(const BpfFile& file) {
  const std::string& bytes = file.program;
  if (bytes.empty()) return Bad(file, "no instructions; expected a filter as the kernel takes it, of eight bytes each (struct sock_filter)");
  if (bytes.size() % sizeof(sock_filter) != 0) {
    return Bad(file, absl::StrCat(bytes.size(), " bytes, and instructions of a filter have ", sizeof(sock_filter), " each (struct sock_filter)"));
  }
  std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
  if (program.size() > kMaxBpfLength) return Bad(file, absl::StrCat(program.size(), " instructions; at most ", kMaxBpfLength));
  memcpy(program.data(), bytes.data(), bytes.size());
  for (size_t at = 0; at < program.size(); ++at) {
    if (const Problem problem = CheckStep(program[at], at, program.size()); !problem.empty()) return BadStep(file, program[at], at, problem);
  }
  const size_t last = program.size() - 1;
  if (BPF_CLASS(program[last].code) != BPF_RET) return BadStep(file, program[last], last, "is the last one, and returns nothing");
  if (const auto& [at, problem] = CheckMemory(program); !problem.empty()) return BadStep(file, program[at], at, problem);
  return program;
}

}  // namespace brood
