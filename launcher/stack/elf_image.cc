#include "launcher/stack/elf_image.h"

#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace brood {
namespace {

constexpr uint64_t kMaxSectionBytes = 64 << 20;
constexpr size_t kMaxHeaders = 4096;

// Read, not mapped: a file that becomes shorter meanwhile is a signal to whoever has it mapped. mmap(2), SIGBUS.
bool ReadAt(int fd, uint64_t file_bytes, uint64_t offset, uint64_t bytes, std::string* to) {
  if (offset > file_bytes || bytes > file_bytes - offset || bytes > kMaxSectionBytes) return false;
  to->resize(bytes);
  size_t done = 0;
  while (done < bytes) {
    const ssize_t n = pread(fd, to->data() + done, bytes - done, static_cast<off_t>(offset + done));
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

template <typename T>
std::vector<T> Table(int fd, uint64_t file_bytes, uint64_t offset, size_t count, size_t entry_bytes) {
  std::vector<T> table;
  std::string bytes;
  if (entry_bytes != sizeof(T) || count > kMaxHeaders || !ReadAt(fd, file_bytes, offset, count * sizeof(T), &bytes)) return table;
  table.resize(count);
  if (count > 0) memcpy(table.data(), bytes.data(), bytes.size());
  return table;
}

}  // namespace

std::unique_ptr<ElfImage> ElfImage::Read(int fd) {
  struct stat status = {};
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return nullptr;
  const auto file_bytes = static_cast<uint64_t>(status.st_size);
  std::string bytes;
  Elf64_Ehdr header;
  if (!ReadAt(fd, file_bytes, 0, sizeof(header), &bytes)) return nullptr;
  memcpy(&header, bytes.data(), sizeof(header));
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return nullptr;
  }
  std::unique_ptr<ElfImage> image(new ElfImage);
  for (const Elf64_Phdr& part : Table<Elf64_Phdr>(fd, file_bytes, header.e_phoff, header.e_phnum, header.e_phentsize)) {
    if (part.p_type == PT_LOAD) image->segments_.push_back({part.p_offset, part.p_vaddr, part.p_filesz});
  }
  const auto sections = Table<Elf64_Shdr>(fd, file_bytes, header.e_shoff, header.e_shnum, header.e_shentsize);
  std::string section_names;
  if (header.e_shstrndx < sections.size()) {
    const Elf64_Shdr& section = sections[header.e_shstrndx];
    ReadAt(fd, file_bytes, section.sh_offset, section.sh_size, &section_names);
  }
  for (const Elf64_Shdr& section : sections) {
    const bool symbols = section.sh_type == SHT_SYMTAB || section.sh_type == SHT_DYNSYM;
    if (symbols && section.sh_link < sections.size()) {
      const bool dynamic = section.sh_type == SHT_DYNSYM;
      const Elf64_Shdr& names = sections[section.sh_link];
      std::string table;
      if (ReadAt(fd, file_bytes, names.sh_offset, names.sh_size, &image->names_[dynamic ? 1 : 0]) &&
          ReadAt(fd, file_bytes, section.sh_offset, section.sh_size, &table)) {
        image->AddFunctions(table, dynamic);
      }
    }
    constexpr std::string_view kFrames = ".eh_frame";
    const bool named = section.sh_name < section_names.size() && strcmp(section_names.c_str() + section.sh_name, kFrames.data()) == 0;
    if (named && section.sh_type != SHT_NOBITS && ReadAt(fd, file_bytes, section.sh_offset, section.sh_size, &image->frames_)) {
      image->frames_address_ = section.sh_addr;
    }
  }
  std::sort(image->functions_.begin(), image->functions_.end(), [](const Function& a, const Function& b) { return a.address < b.address; });
  return image;
}

void ElfImage::AddFunctions(const std::string& table, bool dynamic) {
  for (size_t at = 0; at + sizeof(Elf64_Sym) <= table.size(); at += sizeof(Elf64_Sym)) {
    Elf64_Sym symbol;
    memcpy(&symbol, table.data() + at, sizeof(symbol));
    const unsigned type = ELF64_ST_TYPE(symbol.st_info);
    if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol.st_shndx == SHN_UNDEF || symbol.st_size == 0) continue;
    if (symbol.st_name >= names_[dynamic ? 1 : 0].size()) continue;
    functions_.push_back({symbol.st_value, symbol.st_size, symbol.st_name, dynamic});
  }
}

std::optional<uint64_t> ElfImage::AddressOf(uint64_t offset) const {
  for (const Segment& segment : segments_) {
    if (offset >= segment.offset && offset - segment.offset < segment.bytes) return offset - segment.offset + segment.address;
  }
  return std::nullopt;
}

std::optional<ElfImage::Symbol> ElfImage::FunctionAt(uint64_t address) const {
  auto after = std::upper_bound(functions_.begin(), functions_.end(), address,
                                [](uint64_t value, const Function& function) { return value < function.address; });
  // Functions do not overlap, but a file may say so: only the nearest few are looked at.
  for (int tries = 0; tries < 16 && after != functions_.begin(); ++tries) {
    const Function& function = *--after;
    if (address - function.address >= function.bytes) continue;
    const std::string& names = names_[function.dynamic ? 1 : 0];
    const size_t end = names.find('\0', function.name);
    if (end == std::string::npos) continue;
    return Symbol{std::string_view(names).substr(function.name, end - function.name), function.address};
  }
  return std::nullopt;
}

}  // namespace brood
