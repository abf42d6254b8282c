#include "forkserver/warm.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "forkserver/cold_memory_child.h"
#include "forkserver/in_child_testing.h"
#include "gtest/gtest.h"

namespace brood::internal {
namespace {

using child::ForgetCold;

constexpr size_t kPage = 4096;
constexpr size_t kPages = 256;
constexpr size_t kPrepared = 17;
constexpr size_t kEvery = 32;  // More than the kernel maps around one that is wanted.

// A file of kPages pages, whose first bytes are its number, mapped as a program's code is.
const volatile char* MapFile() {
  std::string path = testing::TempDir() + "warmXXXXXX";
  const UniqueFd file(mkostemp(path.data(), O_CLOEXEC));
  unlink(path.c_str());
  for (size_t i = 0; i < kPages; ++i) {
    const std::string page(kPage, static_cast<char>(i));
    if (write(file.get(), page.data(), page.size()) != static_cast<ssize_t>(page.size())) return nullptr;
  }
  void* const mapped = mmap(nullptr, kPages * kPage, PROT_READ, MAP_PRIVATE, file.get(), 0);
  return mapped == MAP_FAILED ? nullptr : static_cast<const volatile char*>(mapped);
}

const volatile char* g_file = nullptr;

// The sum of what it has read.
int ReadSome() {
  int sum = 0;
  for (size_t i = 0; i < kPages; i += kEvery) sum += g_file[i * kPage];
  return sum;
}

int ReadAll() {
  int sum = 0;
  for (size_t i = 0; i < kPages; ++i) sum += static_cast<unsigned char>(g_file[i * kPage]);
  return sum;
}

void RehearseReading(void* /*unused*/) {
  (void)*(g_file + kPrepared * kPage);
  BeginRehearsing();
  if (ReadSome() != 0) DoneRehearsing();
}

void RehearseInVain(void* /*unused*/) {}

void RehearseDying(void* /*unused*/) { raise(SIGKILL); }

// Of a fork that only reads some of the file.
long FaultsOfReading() {
  const pid_t pid = fork();
  if (pid == 0) _exit(ReadSome() != 0 ? 0 : 1);
  rusage usage = {};
  int status = 0;
  if (wait4(pid, &status, 0, &usage) != pid || status != 0) return -1;
  return usage.ru_minflt;
}

// proc(5), /proc/PID/pagemap
uint64_t EntryOf(size_t page) {
  const UniqueFd map(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  uint64_t entry = 0;
  const auto at = static_cast<off_t>((reinterpret_cast<uintptr_t>(g_file) / kPage + page) * 8);
  return pread(map.get(), &entry, 8, at) == 8 ? entry : 0;
}

bool IsPresent(size_t page) { return (EntryOf(page) >> 63 & 1) != 0; }
bool IsOurOwn(size_t page) { return IsPresent(page) && (EntryOf(page) >> 61 & 1) == 0; }  // Of no file.

// In a fork, which finds nothing mapped.
template <typename Test>
void TestWarm(const Test& test) {
  TestInChild([&] {
    ASSERT_NE(ReadSome(), 0);
    test();
  });
}

class WarmTest : public testing::Test {
 protected:
  void SetUp() override {
    g_file = MapFile();
    ASSERT_NE(g_file, nullptr);
  }
  void TearDown() override { munmap(const_cast<char*>(g_file), kPages * kPage); }
};

TEST_F(WarmTest, AForkDoesNotFaultOnWhatWasRehearsed) {
  TestWarm([] {
    const long before = FaultsOfReading();
    if (WarmPagesOf(RehearseReading, nullptr) == 0) GTEST_SKIP() << "not this kernel";
    EXPECT_LE(FaultsOfReading() + static_cast<long>(kPages / kEvery), before);
  });
}

TEST_F(WarmTest, OnlyThePagesThatWereReadAreOurOwn) {
  TestWarm([] {
    if (WarmPagesOf(RehearseReading, nullptr) == 0) GTEST_SKIP() << "not this kernel";
    for (size_t i = 0; i < kPages; ++i) EXPECT_EQ(IsOurOwn(i), i % kEvery == 0) << i;
  });
}

TEST_F(WarmTest, ContentsStayTheSame) {
  TestWarm([] {
    const int before = ReadAll();
    WarmPagesOf(RehearseReading, nullptr);
    EXPECT_EQ(ReadAll(), before);
  });
}

TEST_F(WarmTest, WhatIsColdIsForgottenAgainAndTheRestStays) {
  TestWarm([] {
    child::ColdMemory cold;
    if (WarmPagesOf(RehearseReading, nullptr, &cold) == 0) GTEST_SKIP() << "not this kernel";
    const int before = ReadAll();
    size_t present = 0;
    for (size_t i = 0; i < kPages; ++i) present += IsPresent(i) ? 1 : 0;
    ASSERT_EQ(present, kPages);
    ForgetCold(cold);
    for (size_t i = 0; i < kPages; ++i) EXPECT_EQ(IsPresent(i), i % kEvery == 0) << i;
    EXPECT_EQ(ReadAll(), before);
  });
}

TEST_F(WarmTest, WhatSomebodyHasWrittenIntoAMappingOfAFileStays) {
  TestWarm([] {
    const UniqueFd memory(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
    char* const patched = const_cast<char*>(g_file) + 5 * kPage;  // As a debugger would.
    ASSERT_EQ(pwrite(memory.get(), "x", 1, static_cast<off_t>(reinterpret_cast<uintptr_t>(patched))), 1);
    WarmPagesOf(RehearseReading, nullptr);
    EXPECT_EQ(*patched, 'x');
  });
}

TEST_F(WarmTest, ARehearsalThatFailsWarmsNothing) {
  TestWarm([] {
    EXPECT_EQ(WarmPagesOf(RehearseInVain, nullptr), 0u);
    EXPECT_EQ(WarmPagesOf(RehearseDying, nullptr), 0u);
    EXPECT_FALSE(IsOurOwn(0));
  });
}

}  // namespace
}  // namespace brood::internal
