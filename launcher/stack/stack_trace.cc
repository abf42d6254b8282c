#include "launcher/stack/stack_trace.h"

#include <cxxabi.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "launcher/stack/call_frames.h"
#include "launcher/stack/elf_image.h"
#include "launcher/stack/snapshot.h"

namespace brood {
namespace {

constexpr size_t kMaxFrames = 64;
constexpr size_t kMaxImages = 24;
constexpr size_t kMaxMangledBytes = 1024;
constexpr size_t kMaxNameBytes = 400;

struct Mapping {
  uint64_t begin = 0, end = 0, offset = 0, inode = 0;
  std::string path;
};

// The lines of /proc/PID/maps that can be run: "begin-end r-xp offset dev inode   path".
std::vector<Mapping> ParseMaps(std::string_view text) {
  std::vector<Mapping> mappings;
  for (const std::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<std::string_view> words = absl::StrSplit(line, absl::MaxSplits(' ', 5));
    if (words.size() != 6 || words[1].size() != 4 || words[1][2] != 'x') continue;
    const std::pair<std::string_view, std::string_view> range = absl::StrSplit(words[0], absl::MaxSplits('-', 1));
    Mapping mapping;
    if (!absl::SimpleHexAtoi(range.first, &mapping.begin) || !absl::SimpleHexAtoi(range.second, &mapping.end) ||
        !absl::SimpleHexAtoi(words[2], &mapping.offset) || !absl::SimpleAtoi(words[4], &mapping.inode)) {
      continue;
    }
    mapping.path = std::string(absl::StripLeadingAsciiWhitespace(words[5]));
    mappings.push_back(std::move(mapping));
  }
  return mappings;
}

std::string Demangled(std::string_view name) {
  std::string text(name.substr(0, kMaxMangledBytes));
  if (absl::StartsWith(text, "_Z") && name.size() < kMaxMangledBytes) {
    int failed = 0;
    const std::unique_ptr<char, decltype(&std::free)> whole(abi::__cxa_demangle(text.c_str(), nullptr, nullptr, &failed), &std::free);
    if (failed == 0) text = whole.get();
  }
  if (text.size() > kMaxNameBytes) text = absl::StrCat(text.substr(0, kMaxNameBytes), "...");
  return text;
}

struct Image {
  std::unique_ptr<ElfImage> elf;
  std::optional<CallFrames> frames;
};

class Tracer {
 public:
  Tracer(const StackSnapshot& snapshot, std::string stack, std::string_view maps, const Policy* policy)
      : snapshot_(snapshot), stack_(std::move(stack)), mappings_(ParseMaps(maps)), policy_(policy) {}

  StackTrace Trace() {
    StackTrace trace;
    FrameRegisters registers;
    for (size_t i = 0; i < registers.size(); ++i) registers[i] = snapshot_.registers[i];
    const ReadMemory memory = [this](uint64_t address) { return Memory(address); };
    bool is_exact = true;  // Else it is behind a call, which may be the last of its function.
    for (;;) {
      const uint64_t address = *registers[kInstructionPointer];
      StackFrame& frame = trace.frames.emplace_back();
      frame.address = address;
      const uint64_t inside = is_exact ? address : address - 1;
      const Mapping* mapping = MappingOf(inside);
      if (mapping == nullptr) return End(std::move(trace), "no code there");
      frame.file = mapping->path;
      Image* image = ImageOf(*mapping);
      if (image == nullptr) return End(std::move(trace), mapping->path.empty() ? "code of no file" : absl::StrCat("cannot read ", mapping->path));
      const std::optional<uint64_t> meant = image->elf->AddressOf(inside - mapping->begin + mapping->offset);
      if (!meant.has_value()) return End(std::move(trace), "not in the file");
      if (const auto symbol = image->elf->FunctionAt(*meant); symbol.has_value()) {
        frame.function = Demangled(symbol->name);
        frame.offset = *meant - symbol->address + (is_exact ? 0 : 1);
      }
      if (trace.frames.size() == kMaxFrames) return End(std::move(trace), "more than 64 functions");
      const auto caller = image->frames->Unwind(*meant, registers, memory);
      if (!caller.has_value()) return End(std::move(trace), "the file does not say who called it");
      const std::optional<uint64_t>& next = caller->registers[kInstructionPointer];
      if (caller->is_outermost || next == uint64_t{0}) return End(std::move(trace), "outermost function");
      if (!next.has_value()) return End(std::move(trace), "its stack was not there");
      if (!caller->registers[kStackPointer].has_value()) return End(std::move(trace), "a caller without a stack");
      // A stack grows downwards, so that a caller's frame is above; a signal may have its own.
      const bool above = *caller->registers[kStackPointer] > *registers[kStackPointer];
      if (!above && !caller->is_interrupted) return End(std::move(trace), "a caller below its callee");
      is_exact = caller->is_interrupted;
      registers = caller->registers;
    }
  }

 private:
  static StackTrace End(StackTrace trace, std::string why) {
    trace.end = std::move(why);
    return trace;
  }

  std::optional<uint64_t> Memory(uint64_t address) const {
    uint64_t value;
    if (address < snapshot_.stack_begin || address - snapshot_.stack_begin > stack_.size()) return std::nullopt;
    const size_t offset = address - snapshot_.stack_begin;
    if (stack_.size() - offset < sizeof(value)) return std::nullopt;
    memcpy(&value, stack_.data() + offset, sizeof(value));
    return value;
  }

  const Mapping* MappingOf(uint64_t address) const {
    for (const Mapping& mapping : mappings_) {
      if (address >= mapping.begin && address < mapping.end) return &mapping;
    }
    return nullptr;
  }

  Image* ImageOf(const Mapping& mapping) {
    if (mapping.path.empty() || mapping.path[0] != '/') return nullptr;
    const auto found = images_.find(mapping.path);
    if (found != images_.end()) return found->second.elf != nullptr ? &found->second : nullptr;
    if (images_.size() == kMaxImages) return nullptr;
    Image& image = images_[mapping.path];
    const UniqueFd file = Open(mapping);
    if (file.valid()) image.elf = ElfImage::Read(file.get());
    if (image.elf == nullptr) return nullptr;
    image.frames.emplace(image.elf->frames(), image.elf->frames_address());
    return &image;
  }

  // By the path that the kernel gives, or where the policy shows that from. The inode tells whether it is the file that was
  // mapped: what is called so here may be another one.
  UniqueFd Open(const Mapping& mapping) const {
    std::vector<std::string> paths = {mapping.path};
    if (policy_ != nullptr) {
      for (const FileRule& rule : policy_->files) {
        std::string_view rest = mapping.path;
        if (rule.kind != FileRule::Kind::kBind || rule.source == rule.destination || !absl::ConsumePrefix(&rest, rule.destination)) continue;
        if (rest.empty() || rest[0] == '/') paths.push_back(absl::StrCat(rule.source, rest));
      }
    }
    for (const std::string& path : paths) {
      UniqueFd file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
      struct stat status = {};
      if (file.valid() && fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode) && status.st_ino == mapping.inode) return file;
    }
    return UniqueFd();
  }

  const StackSnapshot& snapshot_;
  const std::string stack_;
  const std::vector<Mapping> mappings_;
  const Policy* const policy_;
  std::map<std::string, Image> images_;
};

std::string ReadPart(int fd, uint64_t offset, uint64_t bytes, uint64_t max_bytes) {
  std::string part(std::min(bytes, max_bytes), '\0');
  const ssize_t n = pread(fd, part.data(), part.size(), static_cast<off_t>(offset));
  part.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return part;
}

std::string_view StepText(SnapshotStep step) {
  switch (step) {
    case SnapshotStep::kDone:
      break;
    case SnapshotStep::kAttach:
      return "ptrace of the child";
    case SnapshotStep::kStop:
      return "stopping the child";
    case SnapshotStep::kRegisters:
      return "its registers";
    case SnapshotStep::kMaps:
      return "its /proc/PID/maps";
  }
  return "the snapshot";
}

}  // namespace

StackTrace ReadStackTrace(int fd, const Policy* policy) {
  StackSnapshot snapshot;
  if (pread(fd, &snapshot, sizeof(snapshot), 0) != static_cast<ssize_t>(sizeof(snapshot)) || snapshot.magic != kSnapshotMagic) {
    return {.frames = {}, .end = "no snapshot was taken"};
  }
  if (snapshot.failed != SnapshotStep::kDone) {
    return {.frames = {}, .end = absl::StrCat(StepText(snapshot.failed), ": ", SystemErrorText(snapshot.error_number))};
  }
  // Both end with the piece that passed their bound.
  constexpr uint64_t kPiece = 4096;
  std::string stack = ReadPart(fd, kSnapshotBytes, snapshot.stack_bytes, kMaxStackBytes + kPiece);
  const std::string maps = ReadPart(fd, kSnapshotBytes + snapshot.stack_bytes, snapshot.maps_bytes, kMaxMapsBytes + kPiece);
  return Tracer(snapshot, std::move(stack), maps, policy).Trace();
}

}  // namespace brood
