"""What outlives the process?"""
