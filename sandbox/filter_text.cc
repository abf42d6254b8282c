#include "sandbox/filter_text.h"

#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "sandbox/notice_child.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {
namespace {

constexpr uint32_t kNumber = offsetof(seccomp_data, nr);
constexpr uint32_t kArch = offsetof(seccomp_data, arch);
constexpr uint32_t kArguments = offsetof(seccomp_data, args);
constexpr uint32_t kOther = ~uint32_t{0};  // What an instruction has computed.

std::string Loaded(uint32_t offset) {
  if (offset == kNumber) return "nr";
  if (offset == kArch) return "arch";
  if (offset < kArguments) return absl::StrCat("[", offset, "]");
  const uint32_t within = offset - kArguments;
  return absl::StrCat("args[", within / 8, "].", within % 8 == 0 ? "low" : "high");
}

std::string Returned(uint32_t result) {
  switch (result & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
      return "allow";
    case SECCOMP_RET_LOG:
      return "log";
    case SECCOMP_RET_KILL_PROCESS:
      return "kill process";
    case SECCOMP_RET_KILL_THREAD:
      return "kill thread";
    case SECCOMP_RET_TRAP:
      return absl::StrCat("trap ", result & SECCOMP_RET_DATA);
    case SECCOMP_RET_TRACE:
      return absl::StrCat("trace ", result & SECCOMP_RET_DATA);
    case SECCOMP_RET_ERRNO:
      if ((result & SECCOMP_RET_DATA) == 0) return "errno 0";
      return absl::StrCat("errno ", ErrnoName(static_cast<int>(result & SECCOMP_RET_DATA)));
    case SECCOMP_RET_USER_NOTIF:
      return absl::StrCat("guardian: ", NoticeName(static_cast<Notice>(result & SECCOMP_RET_DATA)));
    default:
      return absl::StrFormat("0x%x", result);
  }
}

class Disassembler {
 public:
  explicit Disassembler(const std::vector<sock_filter>& filter) : filter_(filter) {}

  std::string Text() {
    std::string text;
    for (size_t at = 0; at < filter_.size(); ++at) absl::StrAppendFormat(&text, "%04d  %s\n", at, Line(at));
    return text;
  }

 private:
  std::string Line(size_t at) {
    const sock_filter& i = filter_[at];
    switch (i.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        loaded_ = i.k;
        return absl::StrCat("ld ", Loaded(i.k));
      case BPF_LD | BPF_IMM:
      case BPF_LDX | BPF_IMM:
        return absl::StrFormat("%s 0x%x", Register(i), i.k);
      case BPF_LD | BPF_W | BPF_LEN:
      case BPF_LDX | BPF_W | BPF_LEN:
        return absl::StrCat(Register(i), " length");
      case BPF_LD | BPF_MEM:
      case BPF_LDX | BPF_MEM:
        if (BPF_CLASS(i.code) == BPF_LD) loaded_ = kOther;
        return absl::StrCat(Register(i), " M[", i.k, "]");
      case BPF_ST:
        return absl::StrCat("st M[", i.k, "]");
      case BPF_STX:
        return absl::StrCat("stx M[", i.k, "]");
      case BPF_MISC | BPF_TAX:
        return "tax";
      case BPF_MISC | BPF_TXA:
        loaded_ = kOther;
        return "txa";
      case BPF_RET | BPF_A:
        loaded_ = kNumber;
        return "return A";
      case BPF_JMP | BPF_JSET | BPF_K:
        return Jump(at, "jset");
      case BPF_JMP | BPF_JEQ | BPF_X:
        return Jump(at, "jeq");
      case BPF_JMP | BPF_JGT | BPF_X:
        return Jump(at, "jgt");
      case BPF_JMP | BPF_JGE | BPF_X:
        return Jump(at, "jge");
      case BPF_JMP | BPF_JSET | BPF_X:
        return Jump(at, "jset");
      case BPF_JMP | BPF_JA:
        return absl::StrCat("goto ", at + 1 + i.k);
      case BPF_JMP | BPF_JEQ | BPF_K:
        return Jump(at, "jeq");
      case BPF_JMP | BPF_JGT | BPF_K:
        return Jump(at, "jgt");
      case BPF_JMP | BPF_JGE | BPF_K:
        return Jump(at, "jge");
      case BPF_RET | BPF_K:
        loaded_ = kNumber;  // What follows is jumped to, by a comparison of numbers, or loads anew.
        return absl::StrCat("return ", Returned(i.k));
      default:
        if (const std::string_view name = Arithmetic(i.code); !name.empty()) {
          if (i.code != (BPF_ALU | BPF_AND | BPF_K)) loaded_ = kOther;  // A masked half of an argument is one all the same.
          if (BPF_OP(i.code) == BPF_NEG) return std::string(name);
          return BPF_SRC(i.code) == BPF_X ? absl::StrCat(name, " X") : absl::StrFormat("%s 0x%x", name, i.k);
        }
        return absl::StrFormat("code 0x%x, jt %d, jf %d, k 0x%x", i.code, i.jt, i.jf, i.k);
    }
  }

  static std::string_view Register(const sock_filter& i) { return BPF_CLASS(i.code) == BPF_LDX ? "ldx" : "ld"; }

  static std::string_view Arithmetic(uint16_t code) {
    constexpr std::pair<int, std::string_view> kNames[] = {{BPF_ADD, "add"}, {BPF_SUB, "sub"}, {BPF_MUL, "mul"}, {BPF_DIV, "div"}, {BPF_OR, "or"},
                                                           {BPF_AND, "and"}, {BPF_LSH, "lsh"}, {BPF_RSH, "rsh"}, {BPF_NEG, "neg"}, {BPF_XOR, "xor"}};
    for (const auto& [operation, name] : kNames) {
      if (BPF_CLASS(code) == BPF_ALU && BPF_OP(code) == operation) return name;
    }
    return "";
  }

  std::string Jump(size_t at, std::string_view test) const {
    const sock_filter& i = filter_[at];
    const bool by_register = BPF_SRC(i.code) == BPF_X;
    const bool numbers = loaded_ == kNumber && !by_register && BPF_OP(i.code) != BPF_JSET;
    std::string line = by_register ? absl::StrCat(test, " X") : numbers ? absl::StrFormat("%s %d", test, i.k) : absl::StrFormat("%s 0x%x", test, i.k);
    if (i.jt != 0) absl::StrAppend(&line, " goto ", at + 1 + i.jt);
    if (i.jf != 0) absl::StrAppend(&line, " else ", at + 1 + i.jf);
    const std::string name = numbers ? SyscallName(NativeArch(), i.k) : loaded_ == kArch && !by_register ? ArchName(i.k, 0) : "unknown";
    return name == "unknown" ? line : absl::StrFormat("%-30s ; %s", line, name);
  }

  const std::vector<sock_filter>& filter_;
  uint32_t loaded_ = 0;
};

}  // namespace

std::string DisassembleFilter(const std::vector<sock_filter>& filter) { return Disassembler(filter).Text(); }

}  // namespace brood
