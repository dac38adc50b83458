# libstorage.so: everything of storage_core, nothing exported but stg_*. Included by
# libstorage/CMakeLists.txt. Also the C programs and symbol checks of tests/abi.
include(GNUInstallDirs)

# Overwrite released slabs wherever tests run; never in what is shipped.
option(STG_POISON "poison released slabs (for tests)" OFF)
if(STG_POISON OR STG_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug")
  set_source_files_properties(src/api/slab_pool.cc PROPERTIES COMPILE_DEFINITIONS STG_POISON=1)
endif()

if(NOT STG_COMMIT) # -DSTG_COMMIT= says it where there is no repository
  execute_process(COMMAND git -C ${PROJECT_SOURCE_DIR} rev-parse --short=12 HEAD
                  OUTPUT_VARIABLE STG_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT STG_COMMIT)
  set(STG_COMMIT unknown)
endif()
set_source_files_properties(src/api/libstorage.cc PROPERTIES COMPILE_DEFINITIONS
  "STG_VERSION=\"${PROJECT_VERSION}\";STG_COMMIT=\"${STG_COMMIT}\"")

# The objects of the archive: linking the archive itself would take none of them.
set(STG_EXPORTS ${CMAKE_CURRENT_SOURCE_DIR}/libstorage.map)
add_library(storage SHARED $<TARGET_OBJECTS:storage_core>)
target_link_libraries(storage PRIVATE $<TARGET_PROPERTY:storage_core,INTERFACE_LINK_LIBRARIES>)
target_include_directories(storage INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/include)
target_link_options(storage PRIVATE -Wl,--version-script=${STG_EXPORTS} -Wl,-z,relro,-z,now)
if(NOT STG_SANITIZE)
  target_link_options(storage PRIVATE -Wl,-z,defs)  # a sanitizer's symbols come with the program
endif()
set_target_properties(storage PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
  LINK_DEPENDS ${STG_EXPORTS})

# Installation, and a .pc of the build tree (PKG_CONFIG_PATH=<build>/pkgconfig) that Go builds
# and tests against: its rpath finds the library where it was built.
function(stg_pkg_config output prefix libdir includedir rpath)
  set(STG_PC_PREFIX ${prefix})
  set(STG_PC_LIBDIR ${libdir})
  set(STG_PC_INCLUDEDIR ${includedir})
  set(STG_PC_RPATH "${rpath}")
  configure_file(${CMAKE_CURRENT_SOURCE_DIR}/src/api/libstorage.pc.in ${output} @ONLY)
endfunction()
# Found from where the .pc lies: what is installed may be moved.
file(RELATIVE_PATH STG_PC_UP "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
stg_pkg_config(${CMAKE_CURRENT_BINARY_DIR}/install/libstorage.pc "\${pcfiledir}/${STG_PC_UP}"
  "\${prefix}/${CMAKE_INSTALL_LIBDIR}" "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}" "")
stg_pkg_config(${PROJECT_BINARY_DIR}/pkgconfig/libstorage.pc ${PROJECT_BINARY_DIR}
  ${CMAKE_CURRENT_BINARY_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/include " -Wl,-rpath,\${libdir}")
install(TARGETS storage LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dist)
install(FILES include/libstorage.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dist)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/install/libstorage.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dist)

# The header must do for strict C11 and for C++; the programs run against the shared library.
if(STG_TESTS)
  foreach(name abi_test abi_layout)
    add_executable(${name} tests/abi/${name}.c)
    target_compile_options(${name} PRIVATE -std=c11 -pedantic -Werror -Wall -Wextra)
    target_link_libraries(${name} PRIVATE storage)
  endforeach()
  add_test(NAME abi_test COMMAND abi_test)
  add_test(NAME abi_layout COMMAND abi_layout ${CMAKE_CURRENT_SOURCE_DIR}/tests/abi/layout.txt)
  add_test(NAME abi_symbols COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/tests/abi/symbols.sh
    $<TARGET_FILE:storage> ${CMAKE_CURRENT_SOURCE_DIR}/include/libstorage.h)
  set_tests_properties(abi_test abi_layout abi_symbols PROPERTIES LABELS abi)
endif()
