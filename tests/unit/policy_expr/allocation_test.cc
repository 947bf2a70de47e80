// Decide() and the heap.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "table.h"

#ifndef BULKHEAD_SANITIZED

namespace {
thread_local size_t allocations = 0;
}  // namespace

void* operator new(size_t size) {
  ++allocations;
  void* const memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}

namespace bulkhead::expr {
namespace {

TEST(ExprAllocationTest, AVerdictTakesNoHeap) {
  const Fixture fixture = CelFixture();
  const std::vector<Ref> bindings = fixture.Bindings();
  for (const char* const source : {
           "node.phase == 'Succeeded' && !has(node.message)",
           "has(node.outputs.artifacts.model.s3.key) && "
           "node.outputs.artifacts.model.s3.key.startsWith('models/' + workflow.name + '/')",
           "l.all(i, i in [1, 2, 3]) && 'team' in workflow.labels && duration(requeue) > duration('1s')",
           "double(node.outputs.parameters['ts'].value) * 2.0 < 100.0 && size(s) == 5",
       }) {
    const Compiled compiled = fixture.Compile(source);
    ASSERT_TRUE(compiled.program.has_value()) << source;
    ASSERT_TRUE(compiled.program->Decide(bindings).value) << source;
    const size_t before = allocations;
    const bool value = compiled.program->Decide(bindings).value;
    EXPECT_EQ(allocations, before) << source;
    EXPECT_TRUE(value);
  }
}

}  // namespace
}  // namespace bulkhead::expr

#endif
