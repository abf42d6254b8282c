#include "sandbox/filter_answers.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <cstring>
#include <utility>
#include <vector>

namespace brood {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kNative = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kNative = AUDIT_ARCH_AARCH64;
#else
#error "this architecture's AUDIT_ARCH_* is not known here"
#endif

// A filter is no loop: every step leads forward, so that each is walked at most once for each value that is known.
class Walk {
 public:
  // `data` is null where only the number is known.
  Walk(const sock_filter* filter, size_t length, uint32_t number, const seccomp_data* data)
      : filter_(filter), length_(length), number_(number), data_(data), seen_(length, 0) {}

  void From(size_t at, uint32_t value, bool known) {
    while (at < length_) {
      // With an unknown value it does not matter how one came here.
      if (!known && std::exchange(seen_[at], 1) != 0) return;
      const sock_filter& step = filter_[at++];
      switch (step.code) {
        case BPF_LD | BPF_W | BPF_ABS:
          known = Load(step.k, &value);
          continue;
        case BPF_ALU | BPF_AND | BPF_K:
          value &= step.k;
          continue;
        case BPF_JMP | BPF_JA:
          at += step.k;
          continue;
        case BPF_RET | BPF_K:
          return Answer(step.k);
        case BPF_JMP | BPF_JEQ | BPF_K:
        case BPF_JMP | BPF_JGE | BPF_K:
        case BPF_JMP | BPF_JGT | BPF_K:
        case BPF_JMP | BPF_JSET | BPF_K:
          break;
        default:
          return Broken();
      }
      if (!known) {
        From(at + step.jt, value, false);
        at += step.jf;
        continue;
      }
      at += Holds(step, value) ? step.jt : step.jf;
    }
    Broken();
  }

  FilterAnswers answers() const { return answers_; }
  uint32_t last() const { return last_; }

 private:
  bool Load(uint32_t offset, uint32_t* value) {
    if (data_ != nullptr && offset + sizeof(*value) <= sizeof(*data_)) {
      memcpy(value, reinterpret_cast<const char*>(data_) + offset, sizeof(*value));
      return true;
    }
    *value = offset == offsetof(seccomp_data, nr) ? number_ : kNative;
    return offset == offsetof(seccomp_data, nr) || offset == offsetof(seccomp_data, arch);
  }

  static bool Holds(const sock_filter& step, uint32_t value) {
    switch (BPF_OP(step.code)) {
      case BPF_JEQ:
        return value == step.k;
      case BPF_JGE:
        return value >= step.k;
      case BPF_JGT:
        return value > step.k;
      default:
        return (value & step.k) != 0;
    }
  }

  void Answer(uint32_t answer) {
    last_ = answer;
    const uint32_t action = answer & SECCOMP_RET_ACTION_FULL;
    (action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG ? answers_.may_allow : answers_.may_refuse) = true;
  }

  void Broken() {
    last_ = SECCOMP_RET_KILL_PROCESS;
    answers_.may_allow = answers_.may_refuse = true;
  }

  const sock_filter* const filter_;
  const size_t length_;
  const uint32_t number_;
  const seccomp_data* const data_;
  std::vector<char> seen_;
  FilterAnswers answers_;
  uint32_t last_ = SECCOMP_RET_KILL_PROCESS;
};

}  // namespace

FilterAnswers AnswersOf(const sock_filter* filter, size_t length, uint32_t number) {
  Walk walk(filter, length, number, nullptr);
  walk.From(0, 0, true);
  return walk.answers();
}

uint32_t AnswerTo(const sock_filter* filter, size_t length, uint32_t number, const uint64_t (&args)[6]) {
  seccomp_data data = {};
  data.nr = static_cast<int>(number);
  data.arch = kNative;
  memcpy(data.args, args, sizeof(args));
  Walk walk(filter, length, number, &data);
  walk.From(0, 0, true);
  return walk.last();
}

}  // namespace brood
