#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| vestibule::folder::yaml_property::holds(data));
