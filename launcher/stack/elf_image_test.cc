// Files that say anything: what is read of them is right, or nothing, and soon.
#include "launcher/stack/elf_image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "launcher/stack/call_frames.h"

namespace brood {
namespace {

extern "C" __attribute__((noinline, used)) int brood_named_function(int x) { return x + 1; }

std::string OwnProgram() {
  const UniqueFd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  std::string bytes(static_cast<size_t>(lseek(file.get(), 0, SEEK_END)), '\0');
  EXPECT_EQ(pread(file.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  return bytes;
}

std::unique_ptr<ElfImage> ImageOf(const std::string& bytes) {
  const UniqueFd file(memfd_create("image", MFD_CLOEXEC));
  EXPECT_EQ(write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return ElfImage::Read(file.get());
}

// Asks all that a stack trace asks, at some addresses.
void Use(const ElfImage& image, std::mt19937& random) {
  const CallFrames frames(image.frames(), image.frames_address());
  const ReadMemory memory = [&](uint64_t) -> std::optional<uint64_t> { return random(); };
  FrameRegisters registers;
  for (auto& value : registers) value = random();
  for (int i = 0; i < 50; ++i) {
    const uint64_t address = image.AddressOf(random() % (1 << 20)).value_or(random());
    image.FunctionAt(address);
    frames.Unwind(address, registers, memory);
  }
}

TEST(ElfImageTest, FindsAFunctionByAnAddressWithinIt) {
  const std::unique_ptr<ElfImage> image = ImageOf(OwnProgram());
  ASSERT_NE(image, nullptr);
  int (*volatile keep)(int) = &brood_named_function;  // Or the linker leaves it out.
  ASSERT_EQ(keep(1), 2);
  bool found = false;
  for (uint64_t offset = 0; offset < (64 << 20) && !found; offset += 16) {
    const auto address = image->AddressOf(offset);
    if (!address.has_value()) continue;
    const auto symbol = image->FunctionAt(*address);
    found = symbol.has_value() && symbol->name == "brood_named_function";
  }
  EXPECT_TRUE(found);
}

TEST(ElfImageTest, WhatIsNoElfFileIsNothing) {
  EXPECT_EQ(ImageOf(""), nullptr);
  EXPECT_EQ(ImageOf("#!/bin/sh\n"), nullptr);
  EXPECT_EQ(ImageOf(std::string(4096, '\x7f')), nullptr);
  const UniqueFd directory(open("/", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(ElfImage::Read(directory.get()), nullptr);
}

TEST(ElfImageTest, AFileThatWasCutIsNotReadBeyondItsEnd) {
  const std::string whole = OwnProgram();
  std::mt19937 random(1);
  for (int i = 0; i < 40; ++i) {
    const auto image = ImageOf(whole.substr(0, random() % whole.size()));
    if (image != nullptr) Use(*image, random);
  }
}

TEST(ElfImageTest, ChangedBytesDoNoHarm) {
  const std::string whole = OwnProgram();
  const auto honest = ImageOf(whole);
  ASSERT_NE(honest, nullptr);
  const size_t frames = whole.find(honest->frames());
  ASSERT_NE(frames, std::string::npos);
  std::mt19937 random(2);
  for (int i = 0; i < 60; ++i) {
    std::string bytes = whole;
    for (int change = 0; change < 200; ++change) {
      // The header, the last part with the tables, and the frames.
      const size_t where[] = {random() % 64, bytes.size() - 1 - random() % std::min<size_t>(bytes.size(), 4096),
                              frames + random() % honest->frames().size()};
      bytes[where[static_cast<size_t>(change + i) % 3]] = static_cast<char>(random());
    }
    memcpy(bytes.data(), whole.data(), i % 2 == 0 ? 64 : 16);
    const auto image = ImageOf(bytes);
    if (image != nullptr) Use(*image, random);
  }
}

}  // namespace
}  // namespace brood
