#include "launcher/stack/call_frames.h"

#include <algorithm>

#include "launcher/stack/dwarf_reader.h"

namespace brood {
namespace {

constexpr size_t kMaxEntries = 1 << 20;
constexpr size_t kMaxSavedRows = 8;
constexpr size_t kMaxOperands = 16;

// How one register of the caller is found.
struct Rule {
  enum class Kind : uint8_t { kSame, kUndefined, kAt, kIs, kRegister, kAtExpression, kIsExpression };
  Kind kind = Kind::kSame;
  int64_t number = 0;                // An offset from the frame's address, or a register.
  size_t expression = 0, expression_end = 0;
};

// The rules that hold at one instruction.
struct Row {
  std::array<Rule, 17> rules;
  uint64_t base = kStackPointer;     // The frame's address is this register
  int64_t offset = 0;                // plus that,
  size_t expression = 0, expression_end = 0;  // or, if that is not empty, what this says.
};

// A DWARF expression. What compilers and the C library use for frames; no jumps, so that it ends.
std::optional<uint64_t> Evaluate(DwarfReader code, std::optional<uint64_t> first, const FrameRegisters& registers, const ReadMemory& memory) {
  std::array<uint64_t, kMaxOperands> stack;
  size_t depth = 0;
  const auto push = [&](uint64_t value) {
    if (depth == kMaxOperands) return false;
    stack[depth++] = value;
    return true;
  };
  if (first.has_value()) push(*first);
  while (!code.done()) {
    const auto op = code.Number<uint8_t>();
    bool fine = true;
    if (op >= 0x30 && op <= 0x4f) {  // DW_OP_lit0 to lit31.
      fine = push(op - 0x30u);
    } else if (op >= 0x70 && op <= 0x8f) {  // DW_OP_breg0 to breg31.
      const size_t number = op - 0x70u;
      const int64_t offset = code.Signed();
      fine = number < registers.size() && registers[number].has_value() && push(*registers[number] + static_cast<uint64_t>(offset));
    } else {
      switch (op) {
        case 0x08: fine = push(code.Number<uint8_t>()); break;
        case 0x09: fine = push(static_cast<uint64_t>(static_cast<int64_t>(code.Number<int8_t>()))); break;
        case 0x0a: fine = push(code.Number<uint16_t>()); break;
        case 0x0c: fine = push(code.Number<uint32_t>()); break;
        case 0x0e: fine = push(code.Number<uint64_t>()); break;
        case 0x10: fine = push(code.Unsigned()); break;
        case 0x11: fine = push(static_cast<uint64_t>(code.Signed())); break;
        case 0x06: {  // DW_OP_deref.
          if (depth == 0) return std::nullopt;
          const std::optional<uint64_t> value = memory(stack[depth - 1]);
          if (!value.has_value()) return std::nullopt;
          stack[depth - 1] = *value;
          break;
        }
        case 0x12: fine = depth > 0 && push(stack[depth - 1]); break;  // DW_OP_dup.
        case 0x23:                                                     // DW_OP_plus_uconst.
          if (depth == 0) return std::nullopt;
          stack[depth - 1] += code.Unsigned();
          break;
        case 0x1a: case 0x1c: case 0x1e: case 0x21: case 0x22: case 0x24: case 0x25: case 0x2a: case 0x2d: {
          if (depth < 2) return std::nullopt;
          const uint64_t right = stack[--depth];
          uint64_t& left = stack[depth - 1];
          if (op == 0x1a) left &= right;
          if (op == 0x1c) left -= right;
          if (op == 0x1e) left *= right;
          if (op == 0x21) left |= right;
          if (op == 0x22) left += right;
          if (op == 0x24) left = right < 64 ? left << right : 0;
          if (op == 0x25) left = right < 64 ? left >> right : 0;
          if (op == 0x2a) left = static_cast<int64_t>(left) >= static_cast<int64_t>(right) ? 1 : 0;
          if (op == 0x2d) left = static_cast<int64_t>(left) < static_cast<int64_t>(right) ? 1 : 0;
          break;
        }
        default: return std::nullopt;
      }
    }
    if (!fine) return std::nullopt;
  }
  if (!code.ok() || depth == 0) return std::nullopt;
  return stack[depth - 1];
}

// Carries out the instructions of a frame up to an address.
class Machine {
 public:
  Machine(uint64_t code_factor, int64_t data_factor, uint8_t encoding, uint64_t begin, uint64_t until)
      : code_factor_(code_factor), data_factor_(data_factor), encoding_(encoding), now_(begin), until_(until) {}

  // The rules of the common part are what DW_CFA_restore goes back to.
  void KeepInitial() { initial_ = row_; }
  const Row& row() const { return row_; }

  bool Run(DwarfReader code) {
    while (!code.done()) {
      const auto op = code.Number<uint8_t>();
      const uint8_t low = op & 0x3f;
      switch (op & 0xc0) {
        case 0x40:
          if (Advance(low)) return code.ok();
          continue;
        case 0x80: {
          const int64_t offset = static_cast<int64_t>(code.Unsigned()) * data_factor_;
          Set(low, {.kind = Rule::Kind::kAt, .number = offset});
          continue;
        }
        case 0xc0:
          Restore(low);
          continue;
        default:
          break;
      }
      switch (low) {
        case 0x00: break;  // DW_CFA_nop.
        case 0x01: now_ = code.Pointer(encoding_); if (now_ > until_) return code.ok(); break;
        case 0x02: if (Advance(code.Number<uint8_t>())) return code.ok(); break;
        case 0x03: if (Advance(code.Number<uint16_t>())) return code.ok(); break;
        case 0x04: if (Advance(code.Number<uint32_t>())) return code.ok(); break;
        case 0x05: SetWithOffset(code, Rule::Kind::kAt, false); break;
        case 0x06: Restore(code.Unsigned()); break;
        case 0x07: Set(code.Unsigned(), {.kind = Rule::Kind::kUndefined}); break;
        case 0x08: Set(code.Unsigned(), {.kind = Rule::Kind::kSame}); break;
        case 0x09: {
          const uint64_t number = code.Unsigned();
          Set(number, {.kind = Rule::Kind::kRegister, .number = static_cast<int64_t>(code.Unsigned())});
          break;
        }
        case 0x0a:
          if (saved_.size() == kMaxSavedRows) return false;
          saved_.push_back(row_);
          break;
        case 0x0b:
          if (saved_.empty()) return false;
          row_ = saved_.back();
          saved_.pop_back();
          break;
        case 0x0c: row_.base = code.Unsigned(); row_.offset = static_cast<int64_t>(code.Unsigned()); row_.expression_end = 0; break;
        case 0x0d: row_.base = code.Unsigned(); row_.expression_end = 0; break;
        case 0x0e: row_.offset = static_cast<int64_t>(code.Unsigned()); break;
        case 0x0f: Block(code, &row_.expression, &row_.expression_end); break;
        case 0x10: SetExpression(code, Rule::Kind::kAtExpression); break;
        case 0x11: SetWithOffset(code, Rule::Kind::kAt, true); break;
        case 0x12: row_.base = code.Unsigned(); row_.offset = code.Signed() * data_factor_; row_.expression_end = 0; break;
        case 0x13: row_.offset = code.Signed() * data_factor_; break;
        case 0x14: SetWithOffset(code, Rule::Kind::kIs, false); break;
        case 0x15: SetWithOffset(code, Rule::Kind::kIs, true); break;
        case 0x16: SetExpression(code, Rule::Kind::kIsExpression); break;
        case 0x2e: code.Unsigned(); break;  // DW_CFA_GNU_args_size.
        default: return false;
      }
    }
    return code.ok();
  }

 private:
  // True if what follows is about instructions behind the one that is asked for.
  bool Advance(uint64_t count) {
    now_ += count * code_factor_;
    return now_ > until_;
  }
  void Set(uint64_t number, Rule rule) {
    if (number < row_.rules.size()) row_.rules[number] = rule;  // Others, of vectors, are of no use for a trace.
  }
  void Restore(uint64_t number) {
    if (number < row_.rules.size()) row_.rules[number] = initial_.rules[number];
  }
  void SetWithOffset(DwarfReader& code, Rule::Kind kind, bool is_signed) {
    const uint64_t number = code.Unsigned();
    const int64_t offset = is_signed ? code.Signed() : static_cast<int64_t>(code.Unsigned());
    Set(number, {.kind = kind, .number = offset * data_factor_});
  }
  void SetExpression(DwarfReader& code, Rule::Kind kind) {
    const uint64_t number = code.Unsigned();
    Rule rule{.kind = kind};
    Block(code, &rule.expression, &rule.expression_end);
    Set(number, rule);
  }
  static void Block(DwarfReader& code, size_t* begin, size_t* end) {
    const uint64_t bytes = code.Unsigned();
    *begin = code.at();
    code.Skip(bytes);
    *end = code.at();
  }

  const uint64_t code_factor_;
  const int64_t data_factor_;
  const uint8_t encoding_;
  uint64_t now_;
  const uint64_t until_;
  Row row_, initial_;
  std::vector<Row> saved_;
};

}  // namespace

CallFrames::CallFrames(std::string_view bytes, uint64_t address) : bytes_(bytes), address_(address) {
  size_t place = 0;
  while (place + 8 <= bytes_.size() && entries_.size() < kMaxEntries) {
    DwarfReader reader(bytes_, place, bytes_.size(), address_);
    const auto length = reader.Number<uint32_t>();
    if (length == 0 || length == 0xffffffff) break;  // The end; or longer than 4 GiB, as no compiler writes it.
    const size_t body = reader.at();
    const size_t end = body + length;
    if (end > bytes_.size()) break;
    const auto back = reader.Number<uint32_t>();
    if (back != 0 && back <= body) {
      const std::optional<size_t> common = CommonAt(body - back);
      if (common.has_value()) {
        const Common& shared = common_[*common];
        DwarfReader entry(bytes_, reader.at(), end, address_);
        const uint64_t begin = entry.Pointer(shared.encoding);
        const uint64_t size = entry.Pointer(shared.encoding & 0x0f);
        if (shared.has_augmentation) entry.Skip(entry.Unsigned());
        if (entry.ok() && size > 0) entries_.push_back({begin, begin + size, entry.at(), end, *common});
      }
    }
    place = end;
  }
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.begin < b.begin; });
}

std::optional<size_t> CallFrames::CommonAt(size_t place) {
  // Those of one file are few, and the last is mostly the one.
  for (size_t i = common_.size(); i-- > 0;) {
    if (common_[i].place == place) return i;
    if (common_.size() - i > 64) break;
  }
  DwarfReader reader(bytes_, place, bytes_.size(), address_);
  const auto length = reader.Number<uint32_t>();
  const size_t end = reader.at() + length;
  if (!reader.ok() || end > bytes_.size() || reader.Number<uint32_t>() != 0) return std::nullopt;
  Common common{.place = place};
  const auto version = reader.Number<uint8_t>();
  const std::string_view augmentation = reader.Text();
  if (version != 1 && version != 3) return std::nullopt;
  common.code_factor = reader.Unsigned();
  common.data_factor = reader.Signed();
  common.return_register = version == 1 ? reader.Number<uint8_t>() : reader.Unsigned();
  size_t instructions = reader.at();
  for (const char letter : augmentation) {
    switch (letter) {
      case 'z': {
        common.has_augmentation = true;
        const uint64_t bytes = reader.Unsigned();
        instructions = reader.at() + bytes;
        break;
      }
      case 'R': common.encoding = reader.Number<uint8_t>(); break;
      case 'P': reader.Pointer(reader.Number<uint8_t>() & 0x0f); break;
      case 'L': reader.Number<uint8_t>(); break;
      case 'S': common.is_signal = true; break;
      default: return std::nullopt;
    }
  }
  if (!common.has_augmentation) instructions = reader.at();
  if (!reader.ok() || instructions > end || common.return_register != kInstructionPointer) return std::nullopt;
  common.instructions = instructions;
  common.instructions_end = end;
  common_.push_back(common);
  return common_.size() - 1;
}

std::optional<CallFrames::Caller> CallFrames::Unwind(uint64_t address, const FrameRegisters& registers,
                                                     const ReadMemory& memory) const {
  const auto after = std::upper_bound(entries_.begin(), entries_.end(), address,
                                      [](uint64_t value, const Entry& entry) { return value < entry.begin; });
  if (after == entries_.begin() || address >= std::prev(after)->end) return std::nullopt;
  const Entry& entry = *std::prev(after);
  const Common& common = common_[entry.common];
  Machine machine(common.code_factor, common.data_factor, common.encoding, entry.begin, address);
  const auto reader = [&](size_t begin, size_t end) { return DwarfReader(bytes_, begin, end, address_); };
  if (!machine.Run(reader(common.instructions, common.instructions_end))) return std::nullopt;
  machine.KeepInitial();
  if (!machine.Run(reader(entry.instructions, entry.instructions_end))) return std::nullopt;
  const Row& row = machine.row();

  std::optional<uint64_t> frame;
  if (row.expression_end != 0) {
    frame = Evaluate(reader(row.expression, row.expression_end), std::nullopt, registers, memory);
  } else if (row.base < registers.size() && registers[row.base].has_value()) {
    frame = *registers[row.base] + static_cast<uint64_t>(row.offset);
  }
  if (!frame.has_value()) return std::nullopt;
  const Rule::Kind back = row.rules[kInstructionPointer].kind;
  Caller caller{.registers = {},
                .is_outermost = back == Rule::Kind::kSame || back == Rule::Kind::kUndefined,
                .is_interrupted = common.is_signal};
  for (size_t i = 0; i < registers.size(); ++i) {
    const Rule& rule = row.rules[i];
    std::optional<uint64_t>& to = caller.registers[i];
    const uint64_t place = *frame + static_cast<uint64_t>(rule.number);
    switch (rule.kind) {
      // Of the return address that means that there is none.
      case Rule::Kind::kSame: to = i == kInstructionPointer ? std::nullopt : registers[i]; break;
      case Rule::Kind::kUndefined: break;
      case Rule::Kind::kAt: to = memory(place); break;
      case Rule::Kind::kIs: to = place; break;
      case Rule::Kind::kRegister:
        if (static_cast<uint64_t>(rule.number) < registers.size()) to = registers[static_cast<size_t>(rule.number)];
        break;
      case Rule::Kind::kAtExpression:
      case Rule::Kind::kIsExpression: {
        const std::optional<uint64_t> value = Evaluate(reader(rule.expression, rule.expression_end), frame, registers, memory);
        if (!value.has_value()) break;
        to = rule.kind == Rule::Kind::kAtExpression ? memory(*value) : value;
        break;
      }
    }
  }
  if (row.rules[kStackPointer].kind == Rule::Kind::kSame) caller.registers[kStackPointer] = frame;
  return caller;
}

}  // namespace brood
