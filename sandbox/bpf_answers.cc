#include "sandbox/bpf_answers.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>

#include "sandbox/seccomp_compiler.h"

namespace brood {
namespace {

using Value = std::optional<uint32_t>;  // Nothing: not known before the call.

// What the registers hold where ways meet: a value if it is the same on all of them.
struct State {
  bool reached = false;
  Value a, x;
  std::array<Value, BPF_MEMWORDS> memory;

  void Meet(const State& other) {
    if (!reached) {
      *this = other;
      return;
    }
    const auto meet = [](Value& mine, const Value& theirs) {
      if (mine != theirs) mine.reset();
    };
    meet(a, other.a);
    meet(x, other.x);
    for (size_t i = 0; i < memory.size(); ++i) meet(memory[i], other.memory[i]);
  }
};

// False: the filter ends there, with an answer of 0. net/core/filter.c, bpf_convert_filter(), "Classic BPF div by zero"
bool Compute(const sock_filter& step, State& state) {
  const Value operand = BPF_SRC(step.code) == BPF_X ? state.x : Value(step.k);
  if (BPF_OP(step.code) == BPF_NEG) {
    if (state.a) state.a = ~*state.a + 1;
    return true;
  }
  if (BPF_OP(step.code) == BPF_DIV && operand == 0u) return false;
  if (!state.a || !operand) {
    state.a.reset();
    return true;
  }
  const uint32_t by = *operand;
  switch (BPF_OP(step.code)) {
    case BPF_ADD:
      *state.a += by;
      break;
    case BPF_SUB:
      *state.a -= by;
      break;
    case BPF_MUL:
      *state.a *= by;
      break;
    case BPF_DIV:
      *state.a /= by;
      break;
    case BPF_AND:
      *state.a &= by;
      break;
    case BPF_OR:
      *state.a |= by;
      break;
    case BPF_XOR:
      *state.a ^= by;
      break;
    case BPF_LSH:
      *state.a <<= by & 31;
      break;
    case BPF_RSH:
      *state.a >>= by & 31;
      break;
    default:
      state.a.reset();
  }
  return true;
}

bool Holds(const sock_filter& step, uint32_t a, uint32_t operand) {
  switch (BPF_OP(step.code)) {
    case BPF_JEQ:
      return a == operand;
    case BPF_JGT:
      return a > operand;
    case BPF_JGE:
      return a >= operand;
    default:
      return (a & operand) != 0;
  }
}

// Every step leads forward, so that in their order each is looked at once, when all that leads there is known.
class Walk {
 public:
  Walk(const std::vector<sock_filter>& program, uint32_t number) : program_(program), number_(number), states_(program.size()) {
    states_[0].reached = true;
    states_[0].a = states_[0].x = 0;
  }

  BpfAnswers Answers() {
    for (size_t at = 0; at < program_.size(); ++at) {
      if (states_[at].reached) Step(at);
    }
    return answers_;
  }

 private:
  void Step(size_t at) {
    const sock_filter& step = program_[at];
    State state = states_[at];
    switch (BPF_CLASS(step.code)) {
      case BPF_RET:
        return Answer(BPF_RVAL(step.code) == BPF_A ? state.a : Value(step.k));
      case BPF_JMP:
        return Jump(at, state);
      case BPF_LD:
        state.a = Load(step, state);
        break;
      case BPF_LDX:
        state.x = Load(step, state);
        break;
      case BPF_ST:
        state.memory[step.k % BPF_MEMWORDS] = state.a;
        break;
      case BPF_STX:
        state.memory[step.k % BPF_MEMWORDS] = state.x;
        break;
      case BPF_ALU:
        // What is not known may be zero.
        if (BPF_OP(step.code) == BPF_DIV && BPF_SRC(step.code) == BPF_X && !state.x) Answer(0);
        if (!Compute(step, state)) return Answer(0);
        break;
      default:
        (BPF_MISCOP(step.code) == BPF_TAX ? state.x : state.a) = BPF_MISCOP(step.code) == BPF_TAX ? state.a : state.x;
    }
    To(at + 1, state);
  }

  void Jump(size_t at, const State& state) {
    const sock_filter& step = program_[at];
    if (BPF_OP(step.code) == BPF_JA) return To(at + 1 + step.k, state);
    const Value operand = BPF_SRC(step.code) == BPF_X ? state.x : Value(step.k);
    const bool known = state.a && operand;
    if (!known || Holds(step, *state.a, *operand)) To(at + 1 + step.jt, state);
    if (!known || !Holds(step, *state.a, *operand)) To(at + 1 + step.jf, state);
  }

  Value Load(const sock_filter& step, const State& state) const {
    switch (BPF_MODE(step.code)) {
      case BPF_IMM:
        return step.k;
      case BPF_LEN:
        return sizeof(seccomp_data);
      case BPF_MEM:
        return state.memory[step.k % BPF_MEMWORDS];
      default:
        if (step.k == offsetof(seccomp_data, nr)) return number_;
        if (step.k == offsetof(seccomp_data, arch)) return NativeArch();
        return std::nullopt;
    }
  }

  void To(size_t at, const State& state) {
    if (at >= program_.size()) return Answer(std::nullopt);
    states_[at].Meet(state);
  }

  void Answer(const Value& value) {
    if (!value) {
      answers_.computed = true;
    } else if (std::find(answers_.values.begin(), answers_.values.end(), *value) == answers_.values.end()) {
      answers_.values.push_back(*value);
    }
  }

  const std::vector<sock_filter>& program_;
  const uint32_t number_;
  std::vector<State> states_;
  BpfAnswers answers_;
};

int32_t Rank(uint32_t answer) { return static_cast<int32_t>(answer & SECCOMP_RET_ACTION_FULL); }

}  // namespace

uint32_t Stricter(uint32_t one, uint32_t other) { return Rank(other) < Rank(one) ? other : one; }

bool BpfAnswers::always_allows() const {
  return !computed && std::all_of(values.begin(), values.end(), [](uint32_t value) {
    const uint32_t action = value & SECCOMP_RET_ACTION_FULL;
    return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
  });
}

uint32_t BpfAnswers::strictest() const {
  uint32_t strictest = computed ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ALLOW;
  for (const uint32_t value : values) strictest = Stricter(strictest, value);
  return strictest;
}

BpfAnswers PossibleAnswers(const std::vector<sock_filter>& program, uint32_t number) { return Walk(program, number).Answers(); }

}  // namespace brood
