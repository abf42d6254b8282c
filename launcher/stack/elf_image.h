// What a stack trace needs of an ELF file: how to go from a function's frame to its caller's, and what functions are called.
//
// The file may have been written by whom it is about: nothing in it is believed before it was compared with the file's size,
// and what is too large is left out.
#ifndef BROOD_LAUNCHER_STACK_ELF_IMAGE_H_
#define BROOD_LAUNCHER_STACK_ELF_IMAGE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brood {

class ElfImage {
 public:
  // Of a regular file, read from `fd`. Null if it is no ELF file of this machine's kind.
  static std::unique_ptr<ElfImage> Read(int fd);

  // Where the byte of the file at `offset` is meant to be in memory.
  std::optional<uint64_t> AddressOf(uint64_t offset) const;

  struct Symbol {
    std::string_view name;  // As the linker knows it.
    uint64_t address = 0;
  };
  // The function that holds this address.
  std::optional<Symbol> FunctionAt(uint64_t address) const;

  // .eh_frame, and where it is meant to be.
  std::string_view frames() const { return frames_; }
  uint64_t frames_address() const { return frames_address_; }

 private:
  struct Segment {
    uint64_t offset, address, bytes;
  };
  struct Function {
    uint64_t address, bytes;
    uint32_t name;
    bool dynamic;
  };
  void AddFunctions(const std::string& table, bool dynamic);

  std::vector<Segment> segments_;
  std::vector<Function> functions_;  // By address.
  std::string frames_;
  uint64_t frames_address_ = 0;
  std::string names_[2];  // Of .symtab, of .dynsym.
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_STACK_ELF_IMAGE_H_
