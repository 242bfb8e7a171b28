#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| vestibule::front_door::property::holds(data));
