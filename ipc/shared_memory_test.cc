#include "ipc/shared_memory.h"

#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string>

#include "gtest/gtest.h"
#include "ipc/lock.h"
#include "ipc/talking_child.h"
#include "serialization/value.h"

namespace brood {
namespace {

SharedMemory MakeMemory(size_t size) { return SharedMemory::Create(size).value(); }

TEST(SharedMemoryTest, HasExactlyTheBytesAskedForAndTheyAreZero) {
  for (const size_t size : {size_t{1}, size_t{4095}, size_t{4096}, size_t{100000}}) {
    const SharedMemory memory = MakeMemory(size);
    ASSERT_EQ(memory.size(), size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.bytes().data()) % 4096, 0u);
    EXPECT_TRUE(
        std::all_of(memory.bytes().begin(), memory.bytes().end(), [](std::byte b) { return b == std::byte{0}; }));
  }
}

TEST(SharedMemoryTest, SizesThatCannotBeAreErrors) {
  EXPECT_TRUE(absl::IsInvalidArgument(SharedMemory::Create(0).status()));
  EXPECT_TRUE(absl::IsResourceExhausted(SharedMemory::Create(SIZE_MAX).status()));
}

TEST(SharedMemoryTest, WhatOneProcessWritesTheOthersRead) {
  const SharedMemory memory = MakeMemory(5000);
  TalkingChild inherited(
      [&](const TalkingChild::Parent&) { return std::memcpy(memory.mutable_bytes().data(), "fork", 4), 0; });
  EXPECT_EQ(inherited.Join(), 0);
  const TypedValue packed = Pack(memory);
  TalkingChild received([&](const TalkingChild::Parent&) {
    const SharedMemory mine = Unpack<SharedMemory>(packed).value();
    BROOD_REQUIRE(mine.size() == 5000);
    return std::memcpy(mine.mutable_bytes().data() + 4990, "passed", 6), 0;
  });
  EXPECT_EQ(received.Join(), 0);
  EXPECT_EQ(std::memcmp(memory.bytes().data(), "fork", 4), 0);
  EXPECT_EQ(std::memcmp(memory.bytes().data() + 4990, "passed", 6), 0);
}

TEST(SharedMemoryTest, OutlivesTheProcessThatMadeItAndTheHandle) {
  UniqueFd passed;
  {
    const SharedMemory memory = MakeMemory(10);
    memory.mutable_bytes()[3] = std::byte{7};
    passed = memory.Descriptor().value();
  }
  EXPECT_EQ(SharedMemory::FromDescriptor(std::move(passed))->bytes()[3], std::byte{7});
}

TEST(SharedMemoryTest, AReadOnlyDescriptorGivesMemoryThatCannotBeWritten) {
  const SharedMemory memory = MakeMemory(10);
  const SharedMemory reader = SharedMemory::FromDescriptor(memory.ReadOnlyDescriptor().value()).value();
  memory.mutable_bytes()[0] = std::byte{9};
  EXPECT_EQ(reader.bytes()[0], std::byte{9});
  EXPECT_TRUE(reader.read_only());
  EXPECT_TRUE(reader.mutable_bytes().empty());
  const SharedMemory again = SharedMemory::FromDescriptor(reader.Descriptor().value()).value();
  EXPECT_TRUE(again.read_only());
  TalkingChild writer([&](const TalkingChild::Parent&) {
    signal(SIGSEGV, SIG_DFL);  // The address sanitizer has a handler, which would exit.
    *const_cast<std::byte*>(reader.bytes().data()) = std::byte{1};
    return 0;
  });
  EXPECT_EQ(writer.Join(), -SIGSEGV);
}

TEST(SharedMemoryTest, OtherObjectsAreNotTakenForIt) {
  EXPECT_TRUE(absl::IsInvalidArgument(SharedMemory::FromDescriptor(*Lock::Create()->Descriptor()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Lock::FromDescriptor(*MakeMemory(1).Descriptor()).status()));
  EXPECT_FALSE(SharedMemory::FromDescriptor(UniqueFd()).ok());
}

TEST(SharedMemoryTest, AnEmptyHandleHasNoBytes) {
  EXPECT_TRUE(SharedMemory().bytes().empty());
  EXPECT_TRUE(absl::IsFailedPrecondition(SharedMemory().Descriptor().status()));
}

TEST(SharedMemoryTest, IsInNoFileSystemSoThatAKillLeavesNothing) {
  const auto names = [] {
    std::set<std::string> result;
    if (DIR* directory = opendir("/dev/shm"); directory != nullptr) {
      while (const dirent* entry = readdir(directory)) result.insert(entry->d_name);
      closedir(directory);
    }
    return result;
  };
  TalkingChild child([&](const TalkingChild::Parent& parent) {
    const SharedMemory memory = MakeMemory(1 << 20);
    struct stat file = {};
    BROOD_REQUIRE(fstat(memory.Descriptor()->get(), &file) == 0);
    BROOD_REQUIRE(file.st_nlink == 0);  // No directory has it.
    parent.Say('m');
    parent.Sleep();
    return 0;
  });
  ASSERT_EQ(child.Await(), 'm');
  for (const std::string& name : names()) EXPECT_EQ(name.find("brood"), std::string::npos) << name;
  EXPECT_EQ(child.Kill(), -SIGKILL);
}

}  // namespace
}  // namespace brood
