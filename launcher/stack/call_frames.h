// From a function's frame to its caller's, by the call frame information of an ELF file (.eh_frame): DWARF 5, 6.4, as the Linux
// Standard Base has it. Frame pointers are no help: most code has none.
//
// Whatever the file and the memory hold, an answer comes soon: every read is checked, nothing is repeated.
#ifndef BROOD_LAUNCHER_STACK_CALL_FRAMES_H_
#define BROOD_LAUNCHER_STACK_CALL_FRAMES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace brood {

// Of x86-64, by DWARF's numbers. 7 is the stack pointer, 16 the instruction pointer. Nothing: not known any more.
inline constexpr size_t kStackPointer = 7;
inline constexpr size_t kInstructionPointer = 16;
using FrameRegisters = std::array<std::optional<uint64_t>, 17>;

// Eight bytes of the process's memory; nothing if they are not there.
using ReadMemory = std::function<std::optional<uint64_t>(uint64_t address)>;

class CallFrames {
 public:
  // `bytes` are a .eh_frame section, and must stay; `address` is where the file wants it in memory.
  CallFrames(std::string_view bytes, uint64_t address);

  struct Caller {
    FrameRegisters registers;
    bool is_outermost = false;    // There is none.
    bool is_interrupted = false;  // It was called by a signal, not by its own call: its instruction pointer is where it goes on.
  };
  // What the registers were in the caller of the function at `address`, an address as the file wants it; nothing if the file
  // does not say.
  std::optional<Caller> Unwind(uint64_t address, const FrameRegisters& registers, const ReadMemory& memory) const;

 private:
  struct Entry {
    uint64_t begin, end;  // Addresses.
    size_t instructions, instructions_end;
    size_t common;        // In common_.
  };
  struct Common {
    size_t place = 0;
    uint64_t code_factor = 1;
    int64_t data_factor = 1;
    uint64_t return_register = 16;
    uint8_t encoding = 0;
    bool is_signal = false;
    bool has_augmentation = false;
    size_t instructions = 0, instructions_end = 0;
  };
  std::optional<size_t> CommonAt(size_t place);

  std::string_view bytes_;
  uint64_t address_;
  std::vector<Entry> entries_;  // By address.
  std::vector<Common> common_;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_STACK_CALL_FRAMES_H_
